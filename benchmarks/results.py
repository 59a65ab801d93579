"""What a benchmark found: figures, beside the goals that they are held to."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

UNITS = {"x": "{:.3g}x", "ms": "{:.3g} ms", "s": "{:.3g} s", "/s": "{:,.0f}/s", "MB": "{:.0f} MB", "µs": "{:,.0f} µs"}


class Goal(NamedTuple):
    value: float
    is_: Literal["at least", "at most"]


class Figure(NamedTuple):
    """One thing measured: in `unit`, one of UNITS; `x` is a ratio."""

    what: str
    value: float
    unit: str
    goal: Goal | None = None
    of_all: float | None = None
    """The same of every measurement, also of those that do not count; None where all of them do."""

    @property
    def text(self) -> str:
        return shown(self.value, self.unit)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal.value if self.goal.is_ == "at least" else self.value <= self.goal.value


class Section(NamedTuple):
    """What one benchmark found. `said`: how it was measured, and what the figures say; paragraphs."""

    title: str
    figures: Sequence[Figure]
    said: Sequence[str] = ()


def shown(value: float, unit: str) -> str:
    return UNITS[unit].format(value)


_HEAD = ("| | measured | goal | |", "|---|---:|---:|---|")


def markdown(section: Section) -> str:
    watched = any(figure.of_all is not None for figure in section.figures)
    head = ("| | measured | all | goal | |", "|---|---:|---:|---:|---|") if watched else _HEAD
    lines = [f"## {section.title}", "", *head]
    for figure in section.figures:
        measured = figure.text
        if watched:
            measured += f" | {shown(figure.of_all, figure.unit) if figure.of_all is not None else ''}"
        goal = f"{figure.goal.is_} {shown(figure.goal.value, figure.unit)}" if figure.goal else ""
        verdict = {None: "", True: "met", False: "**missed**"}[figure.met]
        lines.append(f"| {figure.what} | {measured} | {goal} | {verdict} |")
    return "\n".join([*lines, "", *(f"{paragraph}\n" for paragraph in section.said)])
