"""Company: the one company whose book this is. Defined once, under a fixed id; its settings change, it never ends."""

from decimal import Decimal
from typing import Annotated, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from domain.kernel import (
    LANGUAGE,
    NAME,
    Command,
    Currency,
    Decider,
    Doc,
    Event,
    Form,
    Known,
    Number,
    Rule,
    Standing,
    State,
    Text,
    Zone,
)

_REGIONS = (
    "AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM "
    "FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN "
    "MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT "
    "PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK "
    "TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW"
)
PHONE_REGIONS = frozenset(_REGIONS.split())
"""The regions that have a telephone numbering plan of their own."""

REGION = Text(2, form=Form("|".join(sorted(PHONE_REGIONS)), "a country's two capital letters such as CH"))
MONTH = Number(Decimal(1), Decimal(12))


class CompanySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the company says of itself."""

    name: str
    time_zone: str
    currency: str
    language: str
    phone_region: str
    fiscal_year_start: int


# Events


class CompanyDefined(Event, frozen=True, kw_only=True):
    """The company opened its book."""

    settings: CompanySettings


class CompanySettingsChanged(Event, frozen=True, kw_only=True):
    """The company changed what it says of itself."""

    old: CompanySettings
    new: CompanySettings


CompanyEvent: TypeAlias = CompanyDefined | CompanySettingsChanged


# Commands


class DefineCompany(Command, frozen=True, kw_only=True):
    """Say whose book this is: done once, before anything else."""

    name: Annotated[str, Doc("The company's name."), NAME]
    time_zone: Annotated[str, Doc("The time zone of `today`, of months and of business hours."), Zone()]
    currency: Annotated[str, Doc("The reporting currency."), Currency()]
    language: Annotated[str, Doc("The language of the company, as a BCP 47 tag: `de-CH`."), LANGUAGE]
    phone_region: Annotated[str, Doc("The country of telephone numbers without a country code: `CH`."), REGION]
    fiscal_year_start: Annotated[int, Doc("The month in which the fiscal year begins, 1 to 12."), MONTH] = 1


class ChangeCompanySettings(Command, frozen=True, kw_only=True):
    """Change what the company says of itself. A field left out stays as it is."""

    name: Annotated[str | UnsetType, Doc("The company's name."), NAME] = UNSET
    time_zone: Annotated[str | UnsetType, Doc("The time zone of `today`, of months and of business hours."), Zone()] = (
        UNSET
    )
    currency: Annotated[str | UnsetType, Doc("The reporting currency."), Currency()] = UNSET
    language: Annotated[str | UnsetType, Doc("The language of the company, as a BCP 47 tag: `de-CH`."), LANGUAGE] = (
        UNSET
    )
    phone_region: Annotated[
        str | UnsetType, Doc("The country of telephone numbers without a country code: `CH`."), REGION
    ] = UNSET
    fiscal_year_start: Annotated[int | UnsetType, Doc("The month in which the fiscal year begins, 1 to 12."), MONTH] = (
        UNSET
    )


class CompanyNotDefined(Rule):
    """No company is defined yet; say first whose book this is, with companyDefine."""


CompanyCommand: TypeAlias = DefineCompany | ChangeCompanySettings


class Company(State, frozen=True, kw_only=True):
    """The settings; none before the company is defined."""

    settings: CompanySettings | None = None


def decide(state: Company, command: CompanyCommand, _known: Known) -> list[CompanyEvent]:
    """What follows from a command. Settings that are so already change nothing."""
    asked = {name: getattr(command, name) for name in CompanySettings.__struct_fields__}
    given = {name: value for name, value in asked.items() if value is not UNSET}
    match command:
        case DefineCompany():
            return [CompanyDefined(settings=CompanySettings(**given))] if state.settings is None else []
        case ChangeCompanySettings():
            if state.settings is None or (new := replace(state.settings, **given)) == state.settings:
                return []
            return [CompanySettingsChanged(old=state.settings, new=new)]
        case _:
            assert_never(command)


def evolve(state: Company, event: CompanyEvent) -> Company:
    """What the company is after an event."""
    match event:
        case CompanyDefined(settings=settings) | CompanySettingsChanged(new=settings):
            return replace(state, settings=settings)
        case _:
            assert_never(event)


def standing(state: Company) -> Standing:
    if state.settings is None:
        return Standing(kind="company", active=False)
    return Standing(kind="company", currency=state.settings.currency, zone=state.settings.time_zone)


company: Decider[Company, CompanyCommand, CompanyEvent] = Decider(
    kind="company",
    prefix="cmp",
    initial=Company(),
    decide=decide,
    evolve=evolve,
    commands={"define": DefineCompany, "changeSettings": ChangeCompanySettings},
    creates=frozenset({DefineCompany}),
    events={"CompanyDefined": CompanyDefined, "CompanySettingsChanged": CompanySettingsChanged},
    standing=standing,
    absent=CompanyNotDefined,
)
