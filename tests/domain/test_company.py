from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.company import (
    ChangeCompanySettings,
    CompanyCommand,
    CompanyDefined,
    CompanySettings,
    CompanySettingsChanged,
    DefineCompany,
    company,
)
from domain.kernel import COMPANY_ID, Known, Standing
from tests.domain.scenario import NOW, Scenario, lived

given = Scenario(company)

SETTINGS = CompanySettings(
    name="Helvetia Werkzeuge AG",
    time_zone="Europe/Zurich",
    currency="CHF",
    language="de-CH",
    phone_region="CH",
    fiscal_year_start=1,
)
defined = CompanyDefined(settings=SETTINGS)


def define(language: str = "de-CH", phone_region: str = "CH") -> DefineCompany:
    return DefineCompany(
        id=COMPANY_ID,
        name=SETTINGS.name,
        time_zone=SETTINGS.time_zone,
        currency=SETTINGS.currency,
        language=language,
        phone_region=phone_region,
    )


def test_a_company_is_defined() -> None:
    given().when(define()).then(defined)


def test_a_second_definition_changes_nothing() -> None:
    given(defined).when(define()).then()


def test_settings_left_out_stay_as_they_are() -> None:
    command = ChangeCompanySettings(id=COMPANY_ID, currency="EUR", fiscal_year_start=7)
    new = CompanySettings(
        name=SETTINGS.name,
        time_zone=SETTINGS.time_zone,
        currency="EUR",
        language="de-CH",
        phone_region="CH",
        fiscal_year_start=7,
    )
    given(defined).when(command).then(CompanySettingsChanged(old=SETTINGS, new=new))


def test_settings_that_are_so_already_change_nothing() -> None:
    given(defined).when(ChangeCompanySettings(id=COMPANY_ID, currency="CHF")).then()


def test_others_know_the_zone_and_the_currency() -> None:
    assert company.standing(given(defined).state) == Standing(kind="company", currency="CHF", zone="Europe/Zurich")
    assert not company.standing(given().state).active


def test_nobody_is_named_in_the_settings() -> None:
    assert company.claims(given(defined).state) == frozenset()


commands = st.one_of(
    st.builds(define),
    st.builds(
        ChangeCompanySettings,
        id=st.just(COMPANY_ID),
        name=st.sampled_from(["A", "B"]),
        currency=st.sampled_from(["CHF", "EUR"]),
        language=st.sampled_from(["de", "x", "en-GB"]),
        fiscal_year_start=st.integers(1, 12),
    ),
)


@for_all(st.lists(commands, max_size=8))
def test_the_laws_hold_whatever_is_asked(asked: list[CompanyCommand]) -> None:
    lived(company, asked, Known(now=NOW))
