"""Whether an answer is the one that a document shows, but for what differs from book to book."""

import re
from collections.abc import Iterator

ANYTHING = "…"
"""As a value, any value; as the last of a list, any further elements; in a line of text, any text."""

_ALIKE = (
    re.compile(r"(?P<same>[a-z]{3})_[0-7][0-9a-z]{25}"),  # an id, of the same kind
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"),
    re.compile(r"\d+"),  # a position
)
"""Texts that differ from book to book: one of a sort answers for every other."""


def differences(shown: object, given: object, at: str = "answer") -> Iterator[str]:
    """Where the given JSON value is not what the document shows."""
    if shown in (ANYTHING, given) or _alike(shown, given):
        return
    if isinstance(shown, dict) and isinstance(given, dict):
        for key in dict.fromkeys([*shown, *given]):
            if key not in given or key not in shown:
                yield f"{at}.{key} is {'missing' if key in shown else 'not shown'}"
            else:
                yield from differences(shown[key], given[key], f"{at}.{key}")
    elif isinstance(shown, list) and isinstance(given, list):
        more = shown[-1:] == [ANYTHING]
        wanted = shown[:-1] if more else shown
        if len(given) < len(wanted) or (len(given) > len(wanted) and not more):
            yield f"{at} has {len(given)} elements, shown are {len(wanted)}"
        for n, (one, other) in enumerate(zip(wanted, given, strict=False)):
            yield from differences(one, other, f"{at}[{n}]")
    else:
        yield f"{at} is {given!r}, shown is {shown!r}"


def lines_differ(shown: str, given: str) -> Iterator[str]:
    """The lines of a shown output that the given one does not have, in order; a line of `…` skips any."""
    rest = iter(given.splitlines())
    for line in shown.splitlines():
        if line.strip() == ANYTHING:
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split(ANYTHING)))
        if not any(pattern.fullmatch(one.rstrip()) for one in rest):
            yield f"the output has no line (any more) like {line!r}"
            return


def _alike(shown: object, given: object) -> bool:
    if not (isinstance(shown, str) and isinstance(given, str)):
        return False
    for sort in _ALIKE:
        one, other = sort.fullmatch(shown), sort.fullmatch(given)
        if one and other:
            return one.groupdict() == other.groupdict()
    return False
