"""Passwords: hashed with argon2id, in threads, a few at a time, because each takes 19 MiB and some 20 ms of a core."""

import unicodedata
from typing import Final

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.errors import RequestError, RequestErrorCode
from api.identity.rules import (
    LEAST_CHARACTERS,
    MOST_CHARACTERS,
    PasswordTooLong,
    PasswordTooShort,
    PasswordTooSimple,
)
from domain.kernel import Rule

AT_ONCE: Final = 2
"""Passwords that one process hashes at the same time."""
MOST_WAITING: Final = 50
"""Callers that may wait for that: who comes then is asked to come back."""
BUSY_SECONDS: Final = 5

hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""As the OWASP cheat sheet for password storage advises: 19 MiB, two passes, one lane."""

NOBODYS: Final = hasher.hash("a password that nobody has")
"""What is verified where there is no account, so that answering takes as long as where there is one."""


class Passwords:
    """Hashes and verifies. Used within one event loop."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(AT_ONCE)

    async def hashed(self, password: str) -> str:
        """The text to store, with parameters and a salt of its own."""
        self._check_queue()
        return await anyio.to_thread.run_sync(hasher.hash, _bytes(password), limiter=self._limiter)

    async def fits(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one that was stored. None: there is no account; as much work, and False."""
        self._check_queue()
        right = await anyio.to_thread.run_sync(verify, stored or NOBODYS, _bytes(password), limiter=self._limiter)
        return right and stored is not None

    def _check_queue(self) -> None:
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise throttled("Too many sign in at this moment.", BUSY_SECONDS)


def verify(stored: str, password: bytes) -> bool:
    """Whether a password is the one whose hash is stored."""
    try:
        return hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """Whether it was hashed with other parameters than today's."""
    return hasher.check_needs_rehash(stored)


def faults_of(password: str, email: str | None) -> list[Rule]:
    """The rules that a new password breaks. `email`: of whose it is to be."""
    path = ("password",)
    if len(password) > MOST_CHARACTERS:  # before it is normalised: marks in a row take time by their square
        return [PasswordTooLong(path=path)]
    plain = unicodedata.normalize("NFKC", password).casefold()
    if len(plain) < LEAST_CHARACTERS:
        return [PasswordTooShort(path=path)]
    if len(set(plain)) < 5 or (email and plain in email.casefold()):
        return [PasswordTooSimple(path=path)]
    return []


def throttled(why: str, seconds: int) -> RequestError:
    """Too much was asked for; come back later."""
    return RequestError(
        RequestErrorCode.THROTTLED,
        f"{why} Come back in {seconds} s.",
        status=429,
        headers={"Retry-After": str(seconds)},
        extensions={"retryAfter": seconds},
    )


def _bytes(password: str) -> bytes:
    # The same password typed on another keyboard may be composed of other characters; half a surrogate pair is no
    # reason to fail.
    return unicodedata.normalize("NFKC", password[: 2 * MOST_CHARACTERS]).encode("utf-8", "surrogatepass")
