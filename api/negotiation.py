"""Media types: which of ours a client takes, and whether what it sends is one that we read.

Clients send the same few headers again and again: what they mean is remembered.
"""

from functools import lru_cache

from api.event_stream import EVENTS

GRAPHQL, JSON = "application/graphql-response+json", "application/json"

_TYPES = {GRAPHQL: GRAPHQL, JSON: JSON, "*/*": JSON, "application/*": JSON}
_REMEMBERED = 64
"""Headers of each kind."""


@lru_cache(_REMEMBERED)
def negotiated(accept: str) -> str | None:
    """The best media type that we can answer with; None where the client takes neither."""
    if not accept.strip():
        return JSON
    best, best_quality = None, 0.0
    for one in accept.split(","):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        media, quality = _TYPES.get(name), _quality(parameters)
        if media is not None and quality > best_quality:
            best, best_quality = media, quality
    return best


@lru_cache(_REMEMBERED)
def takes_events(accept: str) -> bool:
    """Whether the client names the media type of event streams: `*/*` does not."""
    names = (one.split(";") for one in accept.split(","))
    return any(
        name.strip().lower() == EVENTS and _quality([one.strip().lower() for one in rest]) > 0 for name, *rest in names
    )


@lru_cache(_REMEMBERED)
def is_json(content_type: str) -> bool:
    """Whether a body of this type is JSON in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charset = next((one[8:].strip('"') for one in parameters if one.startswith("charset=")), "utf-8")
    return kind == JSON and charset in ("utf-8", "utf8")


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
