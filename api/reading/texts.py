"""Texts that clients send to find something by, composed as those of the book are."""

from api.errors import RequestError, RequestErrorCode
from domain.kernel import PROSE, Refused, composing


def composed(text: str, where: str, longest: int = PROSE.longest) -> str:
    """The text in NFC. Raises RequestError, which says `where` it stands, for one that nothing there can equal: of what
    is `longest`."""
    try:
        return composing.composed(text, longest)
    except Refused as refused:
        raise RequestError(RequestErrorCode.BAD_USER_INPUT, f"`{where}`: {refused}") from None
