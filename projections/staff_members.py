"""Staff members as screens read them."""

from typing import Any, assert_never

from domain.kernel import Withheld, opened
from domain.kernel.recorded import Recorded
from domain.staff_member import (
    StaffMemberDeactivated,
    StaffMemberEmailChanged,
    StaffMemberEvent,
    StaffMemberExternalIdAdded,
    StaffMemberReactivated,
    StaffMemberRegistered,
    StaffMemberRenamed,
    StaffMemberRoleGranted,
    StaffMemberRoleRevoked,
    StaffMemberTeamChanged,
)
from projections.model import STAMP, Model, Posting, Table, public_id, public_id_or_none, stamp
from projections.parts import add_external_ids, external_ids_of
from projections.searching import found_by, now_found_by, searched_by
from projections.sorting import TEXT_KEY, sort_key

STAFF_MEMBERS = Table(
    name="staff_members",
    columns={
        "id": "text NOT NULL",
        "name": "text",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched; "" where it was erased
        "status": "text NOT NULL",  # active, deactivated
        "email": "text",  # as typed
        "normalised_email": "text",  # as compared
        "team_id": "text",
        "deactivation": "bigint",  # the position of the last one's entry; NULL: never deactivated
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=("name_key, id", "created_at DESC, id", "team_id, created_at DESC, id", "position"),
)

ROLES = Table(
    name="staff_member_roles",
    columns={"staff_member_id": "text NOT NULL", "role_id": "text NOT NULL"},
    key=("staff_member_id", "role_id"),
    of="staff_member_id",
    indexes=("role_id, staff_member_id",),
)

EXTERNAL_IDS = external_ids_of("staff_member")

SEARCH = searched_by("staff_member")
"""By name, e-mail address and external ids."""


def post(posting: Posting, recorded: Recorded[StaffMemberEvent]) -> None:
    """What one event of a staff member changes."""
    id, at = public_id("staff_member", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case StaffMemberRegistered() as event:
            return _register(posting, id, recorded, event)
        case StaffMemberRenamed(new=name):
            columns = {"name": opened(name), "name_key": sort_key(name)}
            now_found_by(posting, SEARCH, id, "name", name)
        case StaffMemberEmailChanged(new=email, normalised_email=normalised):
            columns = {"email": opened(email), "normalised_email": opened(normalised)}
            now_found_by(posting, SEARCH, id, "email", email, normalised)
        case StaffMemberTeamChanged(new=team):
            columns = {"team_id": public_id_or_none("team", team)}
        case StaffMemberExternalIdAdded(external_id=external_id):
            if not isinstance(external_id, Withheld):
                add_external_ids(posting, EXTERNAL_IDS, id, recorded, (external_id,), SEARCH)
        case StaffMemberRoleGranted(role=role):
            posting.insert(ROLES, staff_member_id=id, role_id=public_id("role", role))
        case StaffMemberRoleRevoked(role=role):
            posting.remove(ROLES, id, public_id("role", role))
        case StaffMemberDeactivated():
            columns = {"status": "deactivated", "deactivation": recorded.position}
        case StaffMemberReactivated():
            columns = {"status": "active"}
        case _ as never:
            assert_never(never)
    return posting.change(STAFF_MEMBERS, id, **columns, changed_at=at, **stamp(recorded))


def _register(posting: Posting, id: str, recorded: Recorded[Any], event: StaffMemberRegistered) -> None:
    posting.insert(
        STAFF_MEMBERS,
        id=id,
        name=opened(event.name),
        name_key=sort_key(event.name),
        status="active",
        email=opened(event.email),
        normalised_email=opened(event.normalised_email),
        team_id=public_id_or_none("team", event.team),
        created_at=recorded.occurred_at,
        changed_at=recorded.occurred_at,
        **stamp(recorded),
    )
    found_by(posting, SEARCH, id, "name", event.name)
    found_by(posting, SEARCH, id, "email", event.email, event.normalised_email)
    add_external_ids(posting, EXTERNAL_IDS, id, recorded, opened(event.external_ids) or (), SEARCH)


staff_members = Model(
    name="staff_members",
    version=7,
    tables=(STAFF_MEMBERS, ROLES, EXTERNAL_IDS, SEARCH),
    post=post,
    kinds=frozenset(("staff_member",)),
)
