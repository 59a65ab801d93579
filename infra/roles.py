"""The roles in the database: each kind of connection logs in as one that may do what it is for, and nothing else.

The role of the address, the owner, migrates and rebuilds. Beside it stand six that log in by themselves, so that no
statement leads from one of them to the owner: RESET ROLE, or set_config('role', ...), lead back to who logged in.
Their names and passwords follow from the owner's, so there is nothing more to keep or to hand out: docs/adr/0023.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composed, Identifier, Literal

Db: TypeAlias = Connection[Any]


class Role(StrEnum):
    """What a connection is for."""

    READING = "reading"
    """Clients' queries, how far the read models are, and notices: no events, no keys, nothing of the book."""
    APPENDING = "appending"
    """The committer."""
    SEALING = "sealing"
    """What commands look up, and the vault: the one that may read every key."""
    POSTING = "posting"
    """What is computed from the book: the projections, and the log. What they open, they open through the vault."""
    ADMITTING = "admitting"
    """Signing in: passwords, sessions, attempts."""
    ERASING = "erasing"
    """Appending the receipts of erasures: the one that may destroy a key."""


SCHEMAS = (
    "daybook",
    "daybook_access",
    "daybook_keys",
    "daybook_log",
    "daybook_migrations",
    "daybook_projections",
    "daybook_read",
)

READ_MODELS = "daybook_read.*"
"""Every read model's every table."""

_KEYS_UNREAD = {
    "daybook_keys.subjects.subject": "SELECT, INSERT",
    "daybook_keys.subjects.generations": "SELECT",
    "daybook_keys.subjects.wrapped": "INSERT",
    "daybook_keys.subjects.made_at": "INSERT",
    "daybook_keys.epochs.epoch": "SELECT",
}
"""To add a key, and to know whether one is there still and as it was: not to read any."""

GRANTS: Mapping[Role, Mapping[str, str]] = {
    Role.READING: {
        READ_MODELS: "SELECT",
        "daybook_projections.models": "SELECT",
        "daybook_projections.parked": "SELECT",
        "daybook_access.token_uses": "SELECT",
    },
    Role.APPENDING: {
        "daybook.events": "SELECT, INSERT",
        "daybook.receipts": "SELECT, INSERT",
        "daybook.reservations": "SELECT, INSERT, DELETE",
        **_KEYS_UNREAD,
    },
    Role.SEALING: {
        "daybook.events": "SELECT",
        "daybook.receipts": "SELECT",
        "daybook.reservations": "SELECT",
        "daybook.imported": "SELECT, INSERT, UPDATE",
        "daybook.numbers": "USAGE",
        "daybook_keys.subjects": "SELECT",
        "daybook_keys.purposes": "SELECT, INSERT",
        "daybook_keys.epochs": "SELECT",
        # For `status` and /readyz, which compare the read models with the book.
        "daybook_projections.models": "SELECT",
        "daybook_projections.parked": "SELECT",
        "daybook_projections.lease": "SELECT",
        # For proofs of entries that were looked up.
        "daybook_log.leaves": "SELECT",
        "daybook_log.subtrees": "SELECT",
        "daybook_log.checkpoints": "SELECT",
        "daybook_projections.mismatches": "SELECT",
        "daybook_projections.attestation": "SELECT",
    },
    Role.POSTING: {
        "daybook.events": "SELECT",
        "daybook.receipts": "SELECT, DELETE",  # those that are too old
        READ_MODELS: "SELECT, INSERT, UPDATE, DELETE",
        "daybook_projections.models": "SELECT, UPDATE",
        "daybook_projections.parked": "SELECT, INSERT, UPDATE, DELETE",
        "daybook_projections.lease": "SELECT, UPDATE",
        "daybook_projections.mismatches": "SELECT, INSERT, UPDATE, DELETE",
        "daybook_projections.attestation": "SELECT, UPDATE",
        "daybook_log.leaves": "SELECT, INSERT",
        "daybook_log.subtrees": "SELECT, INSERT",
        "daybook_log.checkpoints": "SELECT, INSERT",
    },
    Role.ADMITTING: {
        "daybook_access.passwords": "SELECT, INSERT, UPDATE",
        "daybook_access.sessions": "SELECT, INSERT, UPDATE, DELETE",
        "daybook_access.resets": "SELECT, INSERT, UPDATE, DELETE",
        "daybook_access.attempts": "SELECT, INSERT, UPDATE, DELETE",
        "daybook_access.token_uses": "SELECT, INSERT, UPDATE",
        "daybook_access.journal": "SELECT, INSERT",
    },
    Role.ERASING: {
        "daybook.events": "SELECT, INSERT",
        "daybook.receipts": "SELECT, INSERT",
        "daybook.reservations": "SELECT, INSERT, DELETE",
        **_KEYS_UNREAD,
        "daybook_keys.subjects.wrapped": "INSERT, UPDATE",
        "daybook_keys.subjects.destroyed_at": "INSERT, UPDATE",
    },
}
"""What each role may do, by table, sequence or column; with it comes the use of the schema. It may do nothing else."""

OURS = "Daybook's, for one kind of its connections (docs/operator, Roles in the database)"
"""On each of our roles: another's that happens to have the name is left alone."""


class RoleError(Exception):
    """A role of this book can't log in; the message says what to do, and holds no password."""


@dataclass(frozen=True, kw_only=True)
class Logins:
    """A connection string for each kind of connection. They may hold passwords, so they stay out of its text."""

    reading: str = field(repr=False)
    appending: str = field(repr=False)
    sealing: str = field(repr=False)
    posting: str = field(repr=False)
    admitting: str = field(repr=False)
    erasing: str = field(repr=False)
    divided: bool
    """False: they are all the owner's, because the roles could not be made."""


def logins(conninfo: str) -> Logins:
    """How each kind of connection logs in, on a migrated database. `conninfo`: the owner's.

    Raises RoleError where the rights are divided, but the roles do not let us in.
    """
    with psycopg.connect(conninfo, autocommit=True) as db:
        divided = bool(granted(db))
        found = {role: Account.of(db, role).login(conninfo) if divided else conninfo for role in Role}
    if divided:
        try:
            psycopg.connect(found[Role.SEALING]).close()
        except psycopg.OperationalError as error:
            raise RoleError(
                f"The rights in this database are divided, and a role does not let Daybook in: {str(error).strip()}."
                " Run `daybook migrate` with this DATABASE_URL; it says what there is to do. Was the password changed?"
            ) from None
    return Logins(**found, divided=divided)


def granted(db: Db) -> dict[str, Role]:
    """The roles by name, where this book has granted them anything: it has so to all of them, or to none."""
    names = {Account.of(db, role).name: role for role in Role}
    rows = db.execute(
        "SELECT DISTINCT rolname FROM pg_namespace, aclexplode(nspacl) JOIN pg_roles ON pg_roles.oid = grantee"
        " WHERE nspname = ANY(%s) AND rolname = ANY(%s)",
        ([*SCHEMAS], [*names]),
    )
    return {name: names[name] for (name,) in rows}


class Account(NamedTuple):
    """A role beside an owner; no password where the owner needs none."""

    owner: str
    name: str
    password: str

    @classmethod
    def of(cls, db: Db, role: Role) -> "Account":
        """The role beside the one that this connection has logged in as."""
        return cls.beside(db.info.user, db.info.password, role)

    @classmethod
    def beside(cls, owner: str, password: str, role: Role) -> "Account":
        """The role beside this owner. Who knows the owner's password knows this one, and not the other way round."""
        name = _name(owner, role)
        key = f"daybook role {name}".encode()
        return cls(owner, name, hmac.digest(password.encode(), key, "sha256").hex() if password else "")

    def made(self, db: Db) -> list[Composed]:
        """The statements that make the role."""
        name = Identifier(self.name)
        return [
            SQL("CREATE ROLE {}{}").format(name, self._logs_in(db)),
            SQL("COMMENT ON ROLE {} IS {}").format(name, Literal(OURS)),
            # It gains nothing by it, but may see and end the role's sessions.
            SQL("GRANT {} TO {}").format(name, Identifier(self.owner)),
        ]

    def mended(self, db: Db) -> list[Composed]:
        """The statement that lets the role in again, with today's password."""
        return [SQL("ALTER ROLE {}{}").format(Identifier(self.name), self._logs_in(db))]

    def login(self, conninfo: str) -> str:
        """The role's connection string. `conninfo`: the owner's."""
        return make_conninfo(conninfo, user=self.name, **({"password": self.password} if self.password else {}))

    def _logs_in(self, db: Db) -> SQL | Composed:
        if not self.password:
            return SQL(" LOGIN")
        # Hashed here, so that neither the server's log nor whoever reads the statement learns the password.
        hashed = db.pgconn.encrypt_password(self.password.encode(), self.name.encode(), b"scram-sha-256")
        return SQL(" LOGIN PASSWORD {}").format(Literal(hashed.decode()))


def _name(owner: str, role: Role) -> str:
    """Roles belong to the whole cluster: the owner's name keeps those of several books apart."""
    name = f"{owner}_{role}"
    if len(name.encode()) <= 63:
        return name
    rest = f"_{sha256(owner.encode()).hexdigest()[:8]}_{role}"
    return owner.encode()[: 63 - len(rest)].decode(errors="ignore") + rest
