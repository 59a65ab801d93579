"""What is submitted to a committer, made without a door: entries of any kind, and what is demanded for them."""

from typing import Any
from uuid import UUID, uuid4

from domain.appending import Conditions, Entry
from domain.kernel import new_id
from domain.kernel.recorded import Receipt


def entry(id: UUID | None = None, version: int = 1, **other: Any) -> Entry:
    given: dict[str, Any] = {
        "topic": "DiaryClosed",
        "state": b"{}",
        "event_id": new_id(),
        "occurred_at": None,
        "actor": "tester",
        "on_behalf_of": None,
        "correlation_id": uuid4(),
        "causation_id": None,
        "idempotency_key": None,
        "sealed": None,
        "commitment": None,
    }
    one = id or new_id()
    given |= {"originator_id": one, "originator_version": version, "subject": one}
    return Entry(**(given | other))


def conditions(id: UUID, version: int = 1, **other: Any) -> Conditions:
    """What a door demands for an entry of this version."""
    given: dict[str, Any] = {
        "actor": "tester",
        "idempotency_key": uuid4(),
        "fingerprint": b"f" * 32,
        "receipt": Receipt(id, version, 0),
        "expects": {id: version - 1},
        "takes": (),
        "gives_back": (),
        "subject": id,
    }
    return Conditions(**(given | other))
