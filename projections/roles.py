"""Roles as screens read them, and as access is worked out from them."""

from collections.abc import Sequence
from typing import Any, assert_never

from domain.kernel import opened
from domain.kernel.permissions import Grant, Permission
from domain.kernel.recorded import Recorded
from domain.role import (
    RoleDefined,
    RoleDescribed,
    RoleEvent,
    RoleGrantsChanged,
    RoleRenamed,
    RoleRestored,
    RoleRetired,
)
from projections.model import STAMP, Model, Posting, Table, public_id, stamp
from projections.sorting import TEXT_KEY, sort_key

ROLES = Table(
    name="roles",
    columns={
        "id": "text NOT NULL",
        "name": "text NOT NULL",
        "name_key": TEXT_KEY,  # the name as it sorts and is searched
        "description": "text",
        "status": "text NOT NULL",  # active, retired
        "created_at": "timestamptz NOT NULL",
        "changed_at": "timestamptz NOT NULL",
        **STAMP,
    },
    indexes=("name_key, id", "created_at DESC, id", "position"),
)


def grants_of(kind: str) -> Table:
    """The table of what a kind of aggregate grants: `grants_of("role")` is `role_grants`."""
    return Table(
        name=f"{kind}_grants",
        columns={
            f"{kind}_id": "text NOT NULL",
            "permission": "text NOT NULL",
            "scope": "text NOT NULL",
            "ordinal": "bigint NOT NULL",  # the permission's place among all of them
        },
        key=(f"{kind}_id", "permission"),
        of=f"{kind}_id",
    )


GRANTS = grants_of("role")


def post(posting: Posting, recorded: Recorded[RoleEvent]) -> None:
    """What one event of a role changes."""
    id, at = public_id("role", recorded.originator_id), recorded.occurred_at
    columns: dict[str, Any] = {}
    match recorded.event:
        case RoleDefined(name=name, description=description, grants=grants):
            add_grants(posting, GRANTS, id, grants)
            return posting.insert(
                ROLES,
                id=id,
                name=name,
                name_key=sort_key(name),
                description=opened(description),
                status="active",
                created_at=at,
                changed_at=at,
                **stamp(recorded),
            )
        case RoleRenamed(new=name):
            columns = {"name": name, "name_key": sort_key(name)}
        case RoleDescribed(new=description):
            columns = {"description": opened(description)}
        case RoleGrantsChanged(old=old, new=new):
            for grant in old:
                posting.remove(GRANTS, id, grant.permission)
            add_grants(posting, GRANTS, id, new)
        case RoleRetired():
            columns = {"status": "retired"}
        case RoleRestored():
            columns = {"status": "active"}
        case _ as never:
            assert_never(never)
    return posting.change(ROLES, id, **columns, changed_at=at, **stamp(recorded))


def add_grants(posting: Posting, table: Table, id: str, grants: Sequence[Grant]) -> None:
    """Rows for what the aggregate of this public id grants."""
    order = list(Permission)
    for grant in grants:
        row = {table.key[0]: id, "permission": grant.permission, "scope": grant.scope}
        posting.insert(table, **row, ordinal=order.index(grant.permission))


roles = Model(name="roles", version=2, tables=(ROLES, GRANTS), post=post, kinds=frozenset(("role",)))
