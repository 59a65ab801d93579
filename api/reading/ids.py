"""Ids that clients send: one that was mistyped, or is of another kind of record, is an error and not "not there"."""

from collections.abc import Callable, Collection

from api.errors import RequestError, RequestErrorCode
from domain.kernel.identifiers import NotATypeId, prefix_of

LETTERS = "01h455vb4pex5vsknk084sn02q"
"""Of the id that examples show."""


def of_kind(prefix: str) -> Callable[[str], str]:
    """Lets an id through that has this prefix. Raises RequestError for anything else."""

    def read(id: str) -> str:
        return of_any_kind((prefix,), id)

    return read


def of_any_kind(prefixes: Collection[str], id: str) -> str:
    """The id, if it is one with one of these prefixes. Raises RequestError."""
    try:
        prefix = prefix_of(id)
    except NotATypeId:
        raise _refused(id, "is no id", prefixes) from None
    if prefix not in prefixes:
        raise _refused(id, "is an id of another kind of record", prefixes)
    return id


def _refused(id: str, what: str, prefixes: Collection[str]) -> RequestError:
    one, *others = sorted(prefixes)
    looks = f"`{one}_{LETTERS}`" + (f", or begins with {', '.join(f'`{each}_`' for each in others)}" if others else "")
    return RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{shortened(id)}` {what}; one that fits looks like {looks}.")


def shortened(text: str) -> str:
    """What a client sent, as an error may quote it."""
    return text if len(text) <= 40 else f"{text[:40]}…"
