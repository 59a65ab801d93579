"""What the composition root decides: how the parts are told of one another."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict

from api.composition import Parts, assembled
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.kernel import Refused
from domain.steps import blocking
from infra.contacts import PhoneNeedsCountryCode
from tests.toy import asking

CUSTOMER, COMPANY = catalogue.deciders["customer"], catalogue.deciders["company"]


@pytest.fixture
def parts(database: str, tmp_path: Path) -> Iterator[Parts]:
    with assembled(database, tmp_path / "master.key") as parts:
        yield parts


def register(parts: Parts, phone: str) -> str:
    raw = {"kind": "person", "contact_points": [{"kind": "phone", "value": phone}]}
    id = blocking(parts.commands.submit(CUSTOMER, "register", raw, asking(uuid4()), unlimited("test"))).id
    [entry] = [one for one in parts.mapper.recorded(parts.store.entries(0, 100)) if one.originator_id == id]
    return str(entry.event.contact_points[0].normalised)


def test_a_local_number_belongs_to_the_companys_country_once_the_company_is_defined(parts: Parts) -> None:
    with pytest.raises(Refused) as refused:
        register(parts, "044 668 18 00")
    assert refused.value.broken == (PhoneNeedsCountryCode(path=("contact_points", 0, "value")),)
    assert register(parts, "+41 44 668 18 00") == "+41446681800"
    settings = {
        "name": "Alpine",
        "time_zone": "Europe/Zurich",
        "currency": "CHF",
        "phone_region": "CH",
        "language": "de",
    }
    blocking(parts.commands.submit(COMPANY, "define", settings, asking(uuid4()), unlimited("test")))
    assert register(parts, "044 668 18 00") == "+41446681800"


def test_a_traceback_that_shows_the_parts_shows_no_password(parts: Parts) -> None:
    password = str(conninfo_to_dict(parts.conninfo)["password"])
    assert password not in repr(parts)
