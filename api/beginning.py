"""What a new book begins with: the ready roles, which a company then changes, retires, or adds its own to, and a staff
member who has the administrator's, so that somebody can sign in and let in the others.

Each is entered once, under an id and an idempotency key that follow from its key in the code: whatever a company did
with it since, it is never entered again. A role that a later version of Daybook brings comes to older books too, unless
the company has one of that name by then. The administrator does not: a book that anybody has entered anything in has
people of its own.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final
from uuid import UUID, uuid5

from psycopg import Connection

from api.composition import Parts
from domain.access import unlimited
from domain.encoding import UnreadableEntry
from domain.kernel import Command, Refused, opened
from domain.kernel.recorded import Context
from domain.ready_roles import READY, ReadyRole
from domain.role import DefineRole
from domain.staff_member import GrantRole, RegisterStaffMember, StaffMember
from domain.steps import blocking
from infra.contacts import email_address
from infra.marks import used

ACTOR: Final = "daybook"

_NAMESPACE = UUID("f0f6a3c2-3c35-4d0c-8d0e-5a8ab3f4b1aa")
_REASON = "A new book begins with it."

ADMINISTRATOR: Final = uuid5(_NAMESPACE, "the first staff member")
"""The id of the staff member that every book begins with."""


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
        with suppress(Refused):  # another process was faster, or the company has one of this name
            _enter(parts, command, id)


def is_new(db: Connection[tuple[object, ...]]) -> bool:
    """Whether nobody has entered anything in this book yet, beside what it begins with."""
    return not used(db, ACTOR)


def register_administrator(parts: Parts, email: str) -> None:
    """Enter the administrator of a new book, who has the ready role of that name. Raises BookUnavailable.

    Killed in the middle, it goes on the next time: the role is granted to whoever does not have it.
    """
    person = RegisterStaffMember(
        id=ADMINISTRATOR, name="Administrator", email=email, normalised_email=email_address(email)
    )
    with suppress(Refused):  # another process was faster, with another address
        _enter(parts, person, ADMINISTRATOR)
    role = role_id("administrator")
    _enter(parts, GrantRole(id=ADMINISTRATOR, role=role), uuid5(ADMINISTRATOR, str(role)))


def has_no_password(db: Connection[tuple[object, ...]]) -> bool:
    """Whether the book began with an administrator for whom no password was ever set."""
    return db.execute(_NEVER_IN, {"id": ADMINISTRATOR}).fetchone() == (True,)


def administrators_email(parts: Parts) -> str | None:
    """The present e-mail address of the administrator that the book began with; None where they may not come in, or
    where nobody can tell.
    """
    try:
        state = parts.daybook.fold(ADMINISTRATOR).state
    except UnreadableEntry:
        return None
    assert isinstance(state, StaffMember)  # noqa: S101  # of its kind
    return opened(state.email) if state.active else None


def _enter(parts: Parts, command: Command, key: UUID) -> None:
    context = Context(actor=ACTOR, idempotency_key=key, correlation_id=key, reason=_REASON)
    blocking(parts.daybook.handle(command, context, unlimited(ACTOR)))


_NEVER_IN: Final = """
    SELECT EXISTS (SELECT FROM daybook.events WHERE originator_id = %(id)s)
        AND NOT EXISTS (SELECT FROM daybook_access.passwords WHERE staff_member = %(id)s)
"""
