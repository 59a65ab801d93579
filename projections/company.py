"""The company as screens read it: one row."""

from typing import Any, assert_never

from domain.company import CompanyDefined, CompanyEvent, CompanySettings, CompanySettingsChanged
from domain.kernel.recorded import Recorded
from projections.model import STAMP, Model, Posting, Table, public_id, stamp

COMPANY = Table(
    name="company",
    columns={
        "id": "text NOT NULL",
        "name": "text NOT NULL",
        "time_zone": "text NOT NULL",  # IANA
        "currency": "text NOT NULL",  # the reporting currency
        "language": "text NOT NULL",  # BCP 47
        "phone_region": "text NOT NULL",  # the country of telephone numbers without a country code
        "fiscal_year_start": "smallint NOT NULL",  # the month, 1 to 12
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
)


def post(posting: Posting, recorded: Recorded[CompanyEvent]) -> None:
    """What one event of the company changes."""
    id, at = public_id("company", recorded.originator_id), recorded.occurred_at
    match recorded.event:
        case CompanyDefined(settings=settings):
            posting.insert(COMPANY, id=id, created_at=at, changed_at=at, **_columns(settings), **stamp(recorded))
        case CompanySettingsChanged(new=settings):
            posting.change(COMPANY, id, changed_at=at, **_columns(settings), **stamp(recorded))
        case _ as never:
            assert_never(never)


def _columns(settings: CompanySettings) -> dict[str, Any]:
    return {
        "name": settings.name,
        "time_zone": settings.time_zone,
        "currency": settings.currency,
        "language": settings.language,
        "phone_region": settings.phone_region,
        "fiscal_year_start": settings.fiscal_year_start,
    }


company = Model(name="company", version=2, tables=(COMPANY,), post=post, kinds=frozenset(("company",)))
