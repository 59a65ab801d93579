"""What a new book begins with: the ready roles, which a company then changes, retires, or adds its own to.

Each is defined once, under an id and an idempotency key that follow from its key in the code: whatever a company did
with it since, it is never defined again. A role that a later version of Daybook brings comes to older books too, unless
the company has one of that name by then.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid5

from psycopg import Connection

from api.composition import Parts
from domain.access import unlimited
from domain.kernel import Refused
from domain.kernel.recorded import Context
from domain.ready_roles import READY, ReadyRole
from domain.role import DefineRole
from domain.steps import blocking

ACTOR: Final = "daybook"

_NAMESPACE = UUID("f0f6a3c2-3c35-4d0c-8d0e-5a8ab3f4b1aa")


def role_id(key: str) -> UUID:
    """The id of the ready role that the code calls so, in every book."""
    return uuid5(_NAMESPACE, key)


def missing_roles(db: Connection[tuple[object, ...]]) -> list[ReadyRole]:
    """The ready roles that were never defined in this book."""
    rows = db.execute(
        "SELECT originator_id FROM daybook.events WHERE originator_id = ANY(%s) AND originator_version = 1",
        ([role_id(role.key) for role in READY],),
    ).fetchall()
    return [role for role in READY if (role_id(role.key),) not in rows]


def define_roles(parts: Parts, roles: Iterable[ReadyRole]) -> None:
    """Define these roles. Raises BookUnavailable."""
    for role in roles:
        id = role_id(role.key)
        command = DefineRole(id=id, name=role.name, description=role.description, grants=role.grants)
        context = Context(actor=ACTOR, idempotency_key=id, correlation_id=id, reason="A new book begins with it.")
        with suppress(Refused):  # another process was faster, or the company has one of this name
            blocking(parts.daybook.handle(command, context, unlimited(ACTOR)))
