"""The domain's words as GraphQL says them: descriptions out of docstrings, enums out of kernel Words."""

import re
from functools import cache
from inspect import cleandoc
from typing import Any

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from domain.catalogue import camel
from domain.kernel import Word

_FIELD = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")

ACTOR = (
    "Who did it: `user:` and a staff member's id, `token:` and an API token's, `import:` and the source of a file,"
    " `administrator` for the operator's token, `operator` for the command line, `daybook` for what it does by itself,"
    " `demo` for the demo's entries."
)


def described(text: str | None) -> str:
    """A docstring as a description: lines joined within a paragraph, fields named as clients know them."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in cleandoc(text or "").split("\n\n"))
    return _FIELD.sub(lambda field: f"`{camel(field[1])}`", "\n\n".join(paragraphs))


@cache
def enum_of(word: type[Word]) -> Any:
    """The GraphQL enum of a kernel Word; the same one each time, wherever inputs and types meet it."""
    enum: Any = strawberry.enum(word, description=described(word.__doc__))
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__
    meanings = {one.name: one.meaning for one in word}
    for value in definition.values:
        value.description = meanings[value.name]
    return enum


def spoken(kind: str) -> str:
    """A kind of aggregate as one says it: `staff_member` -> `staff member`."""
    return kind.replace("_", " ").replace("api ", "API ")
