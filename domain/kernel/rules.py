"""Rules and refusals: a refused command names every rule that it broke, each with a code, parameters and a path."""

import re
from collections.abc import Iterable
from typing import ClassVar, NoReturn, TypeAlias

import msgspec

Path: TypeAlias = tuple[str | int, ...]
"""Where in the command the offence stands, e.g. `("contact_points", 0, "value")`; () is the command as a whole."""


class Rule(msgspec.Struct, kw_only=True):
    """A rule that a command broke. The subclass's docstring is the English message, its fields fill the {braces}.

    The code is the class name in capitals (`EmailTaken` -> `EMAIL_TAKEN`); it never changes once published.
    """

    known: ClassVar[dict[str, type["Rule"]]] = {}
    code: ClassVar[str] = "RULE"

    path: Path = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).upper()
        Rule.known[cls.code] = cls

    @property
    def parameters(self) -> dict[str, object]:
        """What the message speaks of, for clients that translate by code."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "path"}

    @property
    def message(self) -> str:
        return (self.__doc__ or self.code).format(**self.parameters)


class Refused(Exception):
    """The command was understood and refused; nothing was written."""

    def __init__(self, *broken: Rule) -> None:
        super().__init__(*broken)
        self.broken = broken

    def __str__(self) -> str:
        return "; ".join(rule.message for rule in self.broken)


def refuse(*broken: Rule) -> NoReturn:
    """Refuse the command for these rules."""
    raise Refused(*broken)


def broken(*rules: Rule | Iterable[Rule] | None) -> list[Rule]:
    """All broken rules in one list: `broken(None if fits else TooLong(...), faults_of_lines(...), ...)`."""
    found: list[Rule] = []
    for one in rules:
        if isinstance(one, Rule):
            found.append(one)
        elif one is not None:
            found.extend(one)
    return found


def require(*rules: Rule | Iterable[Rule] | None) -> None:
    """Refuse when any rule is broken, naming all of them."""
    if found := broken(*rules):
        raise Refused(*found)
