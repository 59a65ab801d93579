"""What docs/operator/roles.md says of the ready roles, and which places a scope reaches: apart from the code."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from domain.ready_roles import READY

DOCUMENT = Path(__file__).parents[3] / "docs" / "operator" / "roles.md"
ROLES = tuple(role.name for role in READY)

REACHED = {
    "own": {"own", "queue", "team", "all"},
    "queue": {"queue", "team", "all"},  # of a ticket
    "team": {"team", "all"},  # of a customer or a deal
    "elsewhere": {"all"},
}
"""By place of a record: the scopes that reach it."""
READ_BY = {"customer": "READ_CUSTOMERS", "opportunity": "READ_OPPORTUNITIES", "ticket": "READ_TICKETS"}


class Matrix(NamedTuple):
    """The tables of the document."""

    scopes: Mapping[str, Mapping[str, str]]
    """By permission and role."""
    needs: Mapping[str, str]
    """By mutation."""


def documented() -> Matrix:
    scopes = {
        name.strip("`"): dict(zip(ROLES, held, strict=True))
        for name, _, *held in _rows("| permission | what it allows")
    }
    needs = {
        mutation.strip("`"): name.strip("`")
        for name, mutations in _rows("| permission | mutations")
        for mutation in mutations.split(", ")
    }
    return Matrix(scopes, needs)


def reaches(matrix: Matrix, role: str, permission: str, place: str) -> bool:
    return matrix.scopes[permission][role] in REACHED[place]


def _rows(head: str) -> Iterator[list[str]]:
    """The cells of a table that begins so."""
    lines = iter(DOCUMENT.read_text().splitlines())
    for line in lines:
        if line.startswith(head):
            next(lines)
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line[1:-1].split("|")]
