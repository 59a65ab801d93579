"""Contact points: what two spellings of one have in common, and what is none at all."""

from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import psycopg
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from domain.kernel import ContactKind, NewContactPoint, Refused
from domain.staff_member import RegisterStaffMember
from infra import contacts
from infra.contacts import (
    EmailMalformed,
    _ascii_domain,
    complete_contact_point,
    complete_staff_email,
    email_address,
)
from tests.projections.conftest import until
from tests.toy import toy_book


def completed(kind: ContactKind, value: str, region: str | None = None) -> NewContactPoint:
    point = NewContactPoint(contact_point=uuid4(), kind=kind, value=value)
    return complete_contact_point(point, ("contact_points", 3), region)


@pytest.mark.parametrize(
    ("kind", "value", "normalised"),
    [
        (ContactKind.EMAIL, "Ada.Lovelace@Example.COM", "ada.lovelace@example.com"),
        (ContactKind.EMAIL, "Grüße@Bücher.example.com", "grüße@xn--bcher-kva.example.com"),
        (ContactKind.PHONE, "+41 44 668 18 00", "+41446681800"),
        (ContactKind.PHONE, "tel:+41-44-668-18-00", "+41446681800"),
        (ContactKind.PHONE, "+44 20 7946 0018 ext. 5", "+442079460018;ext=5"),
        (ContactKind.WEB, "Example.com/", "https://example.com"),
        (
            ContactKind.WEB,
            "HTTP://Bücher.Example:80/Regal?Fach=B#oben",
            "http://xn--bcher-kva.example/Regal?Fach=B#oben",
        ),
        (ContactKind.WEB, "https://example.com:8443/a", "https://example.com:8443/a"),
        (ContactKind.ADDRESS, "Dorfstrasse 12\n 3800  UNTERSEEN", "dorfstrasse 12 3800 unterseen"),
        (ContactKind.SOCIAL, "@Ada_L", "@ada_l"),
    ],
)
def test_spellings_of_one_contact_point_are_compared_alike(kind: ContactKind, value: str, normalised: str) -> None:
    point = completed(kind, value)
    assert point.normalised == normalised
    assert point.value == value, "it stays as typed"


def as_the_library_says(value: str) -> str | None:
    try:
        found = validate_email(value, check_deliverability=False)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}".lower()


LONGER = "xn--z7x" + "a" * 39
"""Forty cats, in as many bytes as they have letters; their UTF-8 has three times as many."""
PARTS = st.one_of(
    st.sampled_from(["ada", "Ada.L", "a" * 64, "example.com", "xn--bcher-kva.example", "b" * 63, LONGER]),
    st.sampled_from(["bücher.example", "Grüße", '"a b"', "localhost", "[1.2.3.4]", " ", "\n", "<", ">", "..", "@"]),
    st.text("aZ9.-_+!'@<>\"()[],;: \\\té", max_size=8),
)  # fmt: skip


@given(st.lists(PARTS, max_size=6).map("".join), st.lists(PARTS, max_size=6).map("".join))
@example("ada", f"{'d' * 60}.{'d' * 60}.{'d' * 60}.{'d' * 60}.com")
@example("a" * 200, f"{'d' * 60}.com")
@example("a" * 10, f"{LONGER}.{LONGER}.com")
@example("a" * 150, f"{LONGER.upper()}.com")
@example("Ada <ada", "example.com>")
@example("ada@home", "example.com")
def test_addresses_are_what_the_library_says(local: str, domain: str) -> None:
    """Though most of them are not shown to it whole."""
    value = f"{local}@{domain}"
    try:
        found = email_address(value)
    except Refused:
        found = None
    assert found == as_the_library_says(value)


def test_domains_are_forgotten_once_a_key_was_destroyed(migrated_database: str, tmp_path: Path) -> None:
    with toy_book(migrated_database, tmp_path), psycopg.connect(migrated_database, autocommit=True) as db:
        email_address("ada@lovelace-family.org")
        assert _ascii_domain.cache_info().currsize
        db.execute(
            "INSERT INTO daybook_keys.subjects (subject, made_at, destroyed_at) VALUES (%s, now(), now())", (uuid4(),)
        )
        until(lambda: _ascii_domain.cache_info().currsize == 0)


@pytest.mark.parametrize("value", ["044 668 18 00", "0446681800", "+41 44 668 18 00"])
def test_a_local_number_is_read_in_the_companys_region(value: str) -> None:
    assert completed(ContactKind.PHONE, value, "CH").normalised == "+41446681800"


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (ContactKind.EMAIL, "ada@localhost", "EMAIL_MALFORMED"),
        (ContactKind.EMAIL, "ada at example.com", "EMAIL_MALFORMED"),
        (ContactKind.EMAIL, "ada@example.com, bob@example.com", "EMAIL_MALFORMED"),
        (ContactKind.PHONE, "044 668 18 00", "PHONE_NEEDS_COUNTRY_CODE"),
        (ContactKind.PHONE, "+999 123", "PHONE_MALFORMED"),
        (ContactKind.PHONE, "+41 4", "PHONE_MALFORMED"),
        (ContactKind.PHONE, "call me", "PHONE_MALFORMED"),
        (ContactKind.WEB, "ftp://example.com", "WEB_ADDRESS_MALFORMED"),
        (ContactKind.WEB, "javascript:alert(1)", "WEB_ADDRESS_MALFORMED"),
        (ContactKind.WEB, "https://ada:secret@example.com", "WEB_ADDRESS_MALFORMED"),
        (ContactKind.WEB, "https://example.com:99999", "WEB_ADDRESS_MALFORMED"),
        (ContactKind.WEB, "no address", "WEB_ADDRESS_MALFORMED"),
    ],
)
def test_what_is_no_contact_point_is_refused_with_its_path_and_without_the_value(
    kind: ContactKind, value: str, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        completed(kind, value)
    [rule] = refused.value.broken
    assert (rule.code, rule.path) == (code, ("contact_points", 3, "value"))
    assert rule.parameters == {}, "nothing of the value leaves in a message"
    assert rule.message == " ".join((type(rule).__doc__ or "").split())


def test_a_number_that_is_none_in_the_region_is_malformed_not_short_of_a_country_code() -> None:
    with pytest.raises(Refused) as refused:
        completed(ContactKind.PHONE, "12", "CH")
    assert [rule.code for rule in refused.value.broken] == ["PHONE_MALFORMED"]


def test_a_staff_members_email_is_completed_too() -> None:
    command = RegisterStaffMember(id=uuid4(), name="Ada", email="Ada@Example.com")
    assert complete_staff_email(command, ()).normalised_email == "ada@example.com"
    without = RegisterStaffMember(id=uuid4(), name="Ada")
    assert complete_staff_email(without, ()).normalised_email is None
    with pytest.raises(Refused) as refused:
        complete_staff_email(RegisterStaffMember(id=uuid4(), name="Ada", email="Ada"), ())
    assert [(rule.code, rule.path) for rule in refused.value.broken] == [("EMAIL_MALFORMED", ("email",))]


def test_the_library_is_not_shown_an_address_that_is_far_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def validate(_email: str, **_options: object) -> NoReturn:
        raise AssertionError("it normalises before it looks at the length")

    monkeypatch.setattr(contacts, "validate_email", validate)
    with pytest.raises(Refused) as refused:
        email_address("a" + "\u0301" * 1_000 + "@example.com", ("email",))
    assert refused.value.broken == (EmailMalformed(path=("email",)),)
