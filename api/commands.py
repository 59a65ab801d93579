"""Commands on their way to the door: raw input of any caller (GraphQL, import, demo) admitted and handled alike."""

from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import TypeAlias, TypeVar
from uuid import UUID

from msgspec.structs import replace

from domain.access import Authority, looked_after_by
from domain.api_token import IssueApiToken
from domain.catalogue import AnyDecider
from domain.company import Company
from domain.daybook import Daybook, Unfoldable
from domain.folds import NOTHING
from domain.kernel import COMPANY_ID, Command, Refused, derived_id, new_id, parse_type_id, type_id
from domain.kernel.admission import Admission
from domain.kernel.fields import IdMalformed, IdOfAnotherKind, Required
from domain.kernel.identifiers import NotATypeId
from domain.kernel.recorded import Context, Receipt
from domain.steps import Look
from infra.vault import token_hash

FRESH = 1.0
"""Seconds after which the company is looked up anew, to notice a change that another process made."""


class Residence:
    """Where the company is at home: a local telephone number is one of its country."""

    def __init__(self, daybook: Daybook) -> None:
        self._daybook, self._fold, self._looked_at = daybook, NOTHING, float("-inf")
        self._told = True

    async def look(self) -> None:
        """A step: look the company up, where the last look was a while ago."""
        if monotonic() > self._looked_at + FRESH:
            try:
                self._fold, self._told = await Look(partial(self._daybook.fold, COMPANY_ID, opened=False)), True
            except Unfoldable:  # where it moved to, nobody knows; most commands do not ask
                self._told = False
            self._looked_at = monotonic()

    @property
    def phone_region(self) -> str | None:
        """The company's country for telephone numbers (ISO 3166); None where no company is defined yet, or it can't be
        read.
        """
        if not self._told:
            return None
        # What this process has changed since, it remembers.
        company = max(self._fold, self._daybook.recall(COMPANY_ID, opened=False), key=lambda fold: fold.version).state
        return company.settings.phone_region if isinstance(company, Company) and company.settings else None


A = TypeVar("A", bound=Command)

ApiTokens: TypeAlias = Callable[[str, UUID], str]
"""The API token that an actor issues under an idempotency key."""


class Commands:
    """Admits raw input and hands the command to the door. Thread-safe."""

    def __init__(self, daybook: Daybook, admission: Admission, residence: Residence, api_tokens: ApiTokens) -> None:
        self.admission, self.api_tokens = admission, api_tokens
        self._daybook, self._residence = daybook, residence

    async def submit(
        self, decider: AnyDecider, verb: str, raw: Mapping[str, object], context: Context, authority: Authority
    ) -> Receipt:
        """Handle `decider.commands[verb]` with raw values by field name (snake case; `id` a TypeID or UUID).

        A coroutine of steps, like `Daybook.handle`. Raises Refused with every fault found, or BookUnavailable.
        """
        kind = decider.commands[verb]
        values = dict(raw)
        target = _target(decider, values.pop("id", None), begins=kind in decider.creates)
        if kind in decider.creates:
            named = {name for name, value in values.items() if value is not None}
            if found := looked_after_by(authority, decider.kind, kind, named):
                field, values[field] = found
        derive = partial(derived_id, target, verb, context.actor, context.idempotency_key)
        command = await self.admitted(kind, target, values, derive)
        if isinstance(command, IssueApiToken):
            token = self.api_tokens(context.actor, context.idempotency_key)
            command = replace(command, hash=token_hash(token).hex())
        return await self._daybook.handle(command, context, authority)

    async def admitted(self, command: type[A], id: UUID, raw: Mapping[str, object], derive: Callable[[int], UUID]) -> A:
        """The command that raw values make, as `Admission.admit` says; nothing is done. A coroutine of steps."""
        await self._residence.look()
        return self.admission.admit(command, id, raw, derive)


def _target(decider: AnyDecider, given: object, *, begins: bool) -> UUID:
    """The aggregate that the command is for: a new one, the one company, or the one that `id` names."""
    if decider.kind == "company":
        return COMPANY_ID
    if begins:
        return new_id()
    if isinstance(given, UUID):
        return given
    if given is None:
        raise Refused(Required(path=("id",)))
    try:
        prefix, id = parse_type_id(str(given))
    except NotATypeId:
        example = type_id(decider.prefix, UUID(int=0x0190163D8694739BAEA5966C26F8AD91))
        raise Refused(IdMalformed(path=("id",), example=example)) from None
    if prefix != decider.prefix:
        raise Refused(IdOfAnotherKind(path=("id",), prefix=decider.prefix))
    return id
