"""Texts that clients send to find something by, composed as those of the book are."""

from api.errors import RequestError, RequestErrorCode
from domain.kernel import PROSE, Refused, composing


def composed(text: str, where: str) -> str:
    """The text in NFC. Raises RequestError, which says `where` it stands, for one that nothing there can equal."""
    try:
        return composing.composed(text, PROSE.longest)
    except Refused as refused:
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{where}`: {refused}") from None
