"""A measurement counts if the machine had its full pace before and after it, whatever it gave; nothing is hidden."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from benchmarks.results import Figure, Goal, Section, markdown
from benchmarks.watch import Taken, Watch, Window
from benchmarks.yardstick import Machine, Yardstick

QUIET, DISTURBED = (7.0, 7.1), (7.0, 13.0)


class Hour:
    """A machine whose pace is given, look by look, and its clock: a measurement takes ten seconds."""

    def __init__(self, *looks: Sequence[float], patience: float = 600) -> None:
        self.now, self._looks = 0.0, iter(looks)
        self.watch = Watch(Machine(lambda: next(self._looks)), patience, lambda: self.now, self._sleep)
        self.began: list[tuple[str, float]] = []
        self._values: Iterator[float] = iter(range(1, 100))

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def measure(self, name: str, window: Window) -> float:
        with window:
            self.began.append((name, self.now))
            self.now += 10
        return next(self._values)

    def rounds(self, *names: str, rounds: int = 1) -> Taken[str, float]:
        taken = self.watch.rounds(self.measure, names, rounds)
        assert next(self._looks, None) is None
        return taken


def test_an_undisturbed_measurement_counts() -> None:
    hour = Hour(QUIET, QUIET)
    assert hour.rounds("ours").counted == {"ours": [1]}
    assert "1 count, 0 were disturbed" in hour.watch.said()
    assert "disturbed ones**" not in hour.watch.said()


def test_a_disturbed_one_is_made_again_and_told() -> None:
    hour = Hour(QUIET, DISTURBED, QUIET, QUIET)
    taken = hour.rounds("ours")
    assert (taken.counted, taken.every) == ({"ours": [2]}, {"ours": [1, 2]})
    assert "1 count, 1 were disturbed" in hour.watch.said()


def test_nothing_begins_before_the_machine_has_its_full_pace() -> None:
    hour = Hour(DISTURBED, DISTURBED, QUIET, QUIET)
    assert hour.rounds("ours").every == {"ours": [1]}
    assert hour.began == [("ours", 2)]


def test_the_full_pace_is_the_fastest_core_within_three_twentieths() -> None:
    hour = Hour((8.1, 7.0), (8.04, 8.04), (7.0, 8.06), (7.0, 8.04), (7.0, 7.0))
    taken = hour.rounds("ours")
    assert taken.every == {"ours": [1, 2]}
    assert hour.began == [("ours", 1), ("ours", 11)]


def test_contenders_take_turns_and_each_has_its_rounds() -> None:
    hour = Hour(QUIET, QUIET, QUIET, DISTURBED, *[QUIET] * 6)
    taken = hour.rounds("ours", "theirs", rounds=2)
    assert [name for name, _ in hour.began] == ["ours", "theirs", "theirs", "ours", "theirs"]
    assert taken.counted == {"ours": [1, 4], "theirs": [3, 5]}
    assert taken.every == {"ours": [1, 4], "theirs": [2, 3, 5]}


def test_waiting_and_measuring_again_end_with_patience_and_that_is_told() -> None:
    # Two seconds are waited and ten measured in vain: the patience of twelve is at its end.
    hour = Hour(DISTURBED, DISTURBED, QUIET, DISTURBED, *[DISTURBED] * 6, patience=12)
    taken = hour.rounds("ours", rounds=3)
    assert hour.began == [("ours", 2), ("ours", 12), ("ours", 22), ("ours", 32)]
    assert (taken.counted, taken.every) == ({"ours": [2, 3, 4]}, {"ours": [1, 2, 3, 4]})
    said = hour.watch.said()
    assert "3 count, 1 were disturbed" in said
    assert "**3 of the 3 that count are disturbed ones**, from when the patience of 0.2 minutes was at its end" in said


def test_what_counted_by_a_higher_limit_is_told() -> None:
    hour = Hour((12.0, 12.0), (12.5, 12.5), QUIET, QUIET)
    assert hour.rounds("ours", rounds=2).counted == {"ours": [1, 2]}
    assert "**1 of the 2 that count are disturbed ones**, from when this limit was not known yet" in hour.watch.said()


def test_figures_are_of_what_counts_with_all_beside_them() -> None:
    def figures(found: Mapping[str, Sequence[float]]) -> list[Figure]:
        return [Figure("sum", sum(found["ours"]), "x", Goal(2, "at most"))]

    hour = Hour(QUIET, DISTURBED, QUIET, QUIET)
    told = markdown(Section("Sums", hour.rounds("ours").figures(figures))).splitlines()
    head = ["| | measured | all | goal | |", "|---|---:|---:|---:|---|"]
    assert told[2:] == [*head, "| sum | 2x | 3x | at most 2x | met |"]


def test_the_yardstick_is_of_every_core() -> None:
    with closing(Yardstick(turns=1)) as yardstick:
        assert len(yardstick()) == len(os.sched_getaffinity(0))
