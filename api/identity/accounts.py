"""Local accounts: signing in with a password, and what becomes of passwords and sessions.

The password's row is locked first wherever sessions end, so that none begins meanwhile with what was good before.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, Final, Literal, LiteralString, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection

from api.directory import Directory
from api.identity.caller import Session
from api.identity.passwords import Passwords, faults_of, is_outdated
from api.identity.rules import PasswordWrong, ResetTokenNotValid, SignInRefused
from api.identity.sessions import Sessions, digest
from api.identity.store import Access
from api.identity.throttle import Throttle
from domain.kernel import Refused
from infra.contacts import email_address

_NOBODY: Final = UUID(int=0)
RESET_LASTS: Final = timedelta(hours=1)

What: TypeAlias = Literal[
    "signed in", "signed out everywhere", "password changed", "reset issued", "password reset", "deactivated"
]
Db: TypeAlias = AsyncConnection[tuple[Any, ...]]


class Accounts:
    """One for each process, used within one event loop."""

    def __init__(self, pool: Access, directory: Directory, sessions: Sessions) -> None:
        self._pool, self.directory, self.sessions = pool, directory, sessions
        self._passwords, self._throttle = Passwords(), Throttle(pool)

    async def sign_in(self, email: str, password: str, address: str) -> tuple[UUID, str]:
        """Who it is, and the value of a new session's cookie. `address`: the client's, as `arrival` says it.

        Raises Refused without saying whether there is such an account, or RequestError THROTTLED.
        """
        account = _normalised(email)
        await self._throttle.admit(address, account)
        staff_member = self.directory.staff_member_by_email(account)
        since = 0 if staff_member is None else self.directory.last_deactivation(staff_member)
        stored = await self._stored(staff_member or _NOBODY)  # looked up too: it takes as long
        if not await self._passwords.fits(stored, password) or staff_member is None or stored is None:
            raise Refused(SignInRefused())
        if is_outdated(stored):
            stored = await self._rehashed(staff_member, stored, password)
        value = await self.sessions.begin(staff_member, since, stored)
        if value is None:
            raise Refused(SignInRefused())
        await self._throttle.succeeded(address, account)
        async with self._pool.connection() as db:
            await _note(db, _actor(self.directory, staff_member), staff_member, "signed in")
        return staff_member, value

    async def change_password(self, session: Session, old: str, new: str, address: str) -> str:
        """Put a new password in the place of the old one, and end every session; the cookie of one in this one's place.

        Raises Refused, or RequestError THROTTLED.
        """
        staff_member = session.staff_member
        if faults := faults_of(new, self.directory.email_of(staff_member)):
            raise Refused(*faults)
        account = self._account(staff_member)
        await self._throttle.admit(address, account)
        stored = await self._stored(staff_member)
        if not await self._passwords.fits(stored, old):
            raise Refused(PasswordWrong(path=("old_password",)))
        await self._throttle.succeeded(address, account)
        hashed = await self._passwords.hashed(new)
        async with self._pool.connection() as db, db.transaction():
            found = await db.execute(_REPLACE, (hashed, staff_member, stored))
            if found.rowcount == 0:
                raise Refused(PasswordWrong(path=("old_password",)))
            await self._all_ended(db, staff_member, "password changed")
        self.sessions.some_ended.set()
        value = await self.sessions.begin(staff_member, session.since, hashed)
        if value is None:
            raise Refused(PasswordWrong(path=("old_password",)))
        return value

    async def reset_password(self, token: str, new: str, address: str) -> UUID:
        """Set a password with a one-time token, and end every session; whose it was.

        Raises Refused, or RequestError THROTTLED.
        """
        await self._throttle.admit(address)
        staff_member = await self._holder(token)
        if staff_member is None or self.directory.of_staff_member(staff_member) is None:
            raise Refused(ResetTokenNotValid(path=("token",)))
        if faults := faults_of(new, self.directory.email_of(staff_member)):
            raise Refused(*faults)
        hashed = await self._passwords.hashed(new)
        async with self._pool.connection() as db, db.transaction():
            # Of two who use it at once, the second finds it gone.
            if (await db.execute(_USE, (digest(token),))).rowcount == 0:
                raise Refused(ResetTokenNotValid(path=("token",)))
            await db.execute(_SET, (staff_member, hashed))
            await self._all_ended(db, staff_member, "password reset")
        self.sessions.some_ended.set()
        await self._throttle.succeeded(address, self._account(staff_member))
        return staff_member

    async def end_all_sessions(self, staff_member: UUID, actor: str) -> None:
        """Sign somebody out everywhere; `actor` wants it."""
        async with self._pool.connection() as db, db.transaction():
            await db.execute(_LOCK, (staff_member,))
            await self._all_ended(db, staff_member, "signed out everywhere", actor)
        self.sessions.some_ended.set()

    def _account(self, staff_member: UUID) -> str:
        # Attempts are counted under what a stranger has to give, whether there is such an account or not. Who has no
        # address can't sign in; only a session that began before is left to guess with.
        return self.directory.email_of(staff_member) or str(staff_member)

    async def _all_ended(self, db: Db, staff_member: UUID, what: What, actor: str | None = None) -> None:
        await db.execute("DELETE FROM daybook_access.sessions WHERE staff_member = %s", (staff_member,))
        await _note(db, actor or _actor(self.directory, staff_member), staff_member, what)

    async def _stored(self, staff_member: UUID) -> str | None:
        async with self._pool.connection() as db:
            found = await (await db.execute(_STORED, (staff_member,))).fetchone()
        return None if found is None else str(found[0])

    async def _rehashed(self, staff_member: UUID, stored: str, password: str) -> str:
        hashed = await self._passwords.hashed(password)
        async with self._pool.connection() as db:
            replaced = await db.execute(_REPLACE, (hashed, staff_member, stored))
        return hashed if replaced.rowcount else stored

    async def _holder(self, token: str) -> UUID | None:
        async with self._pool.connection() as db:
            found = await (await db.execute(_HOLDER, (digest(token),))).fetchone()
        return None if found is None else found[0]


async def issue_reset(pool: Access, staff_member: UUID, actor: str) -> tuple[str, datetime]:
    """A one-time token with which somebody sets a password, and when it expires. An earlier one is good no more."""
    token = secrets.token_urlsafe(32)
    async with pool.connection() as db, db.transaction():
        found = await (await db.execute(_ISSUE, (staff_member, digest(token), RESET_LASTS))).fetchone()
        await _note(db, actor, staff_member, "reset issued")
    assert found is not None  # noqa: S101  # RETURNING of what was just written
    return token, found[0]


async def _note(db: Db, actor: str, staff_member: UUID, what: What) -> None:
    await db.execute(_NOTE, (actor, staff_member, what))


def _actor(directory: Directory, staff_member: UUID) -> str:
    authority = directory.of_staff_member(staff_member)
    return "nobody" if authority is None else authority.actor


def _normalised(email: str) -> str:
    try:
        return email_address(email[:320])
    except Refused:
        return email[:320].lower()  # nobody's, and answered like everybody else's


_STORED: LiteralString = "SELECT hash FROM daybook_access.passwords WHERE staff_member = %s"
_LOCK: LiteralString = "SELECT FROM daybook_access.passwords WHERE staff_member = %s FOR UPDATE"
_REPLACE: LiteralString = """
    UPDATE daybook_access.passwords SET hash = %s, changed_at = now() WHERE staff_member = %s AND hash = %s
"""
_SET: LiteralString = """
    INSERT INTO daybook_access.passwords (staff_member, hash) VALUES (%s, %s)
    ON CONFLICT (staff_member) DO UPDATE SET hash = excluded.hash, changed_at = now()
"""
_ISSUE: LiteralString = """
    INSERT INTO daybook_access.resets (staff_member, hash, expires_at) VALUES (%s, %s, now() + %s)
    ON CONFLICT (staff_member) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at
    RETURNING expires_at
"""
_HOLDER: LiteralString = "SELECT staff_member FROM daybook_access.resets WHERE hash = %s AND expires_at > now()"
_USE: LiteralString = "DELETE FROM daybook_access.resets WHERE hash = %s AND expires_at > now()"
_NOTE: LiteralString = "INSERT INTO daybook_access.journal (actor, staff_member, what) VALUES (%s, %s, %s)"
