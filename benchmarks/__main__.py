"""`python -m benchmarks [names…]`: all of them, written to RESULTS.md, or some of them, to the terminal alone."""

import argparse
import os
import platform
import subprocess
from importlib import import_module
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.laboratory import FULL, QUICK, Laboratory, laboratory
from benchmarks.results import markdown

NAMES = (
    "append",
    "fold",
    "project",
    "mutations",
    "importing",
    "rebuild",
    "serving",
    "reading",
    "growth",
    "live",
    "documents",
    "profile",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
MEANING = "## What follows from it"
"""The rest of RESULTS.md from this line on is written by people, and stays."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], help="which benchmarks; all, where none is named")
    parser.add_argument("--quick", action="store_true", help="only show that everything runs; the figures mean nothing")
    parser.add_argument("--rounds", type=int, help="how many rounds; an odd number")
    asked = parser.parse_args()
    scale = QUICK if asked.quick else FULL
    if asked.rounds:
        scale = scale._replace(rounds=asked.rounds)
    names, whole = asked.names or NAMES, not (asked.names or asked.quick)
    load = os.getloadavg()[0]
    sections: list[str] = []
    with laboratory(scale) as place:
        machine = _machine(place, load)
        for name in names:
            place.say(f"{name} ...")
            sections.append(markdown(import_module(f"benchmarks.{name}").run(place)))
            print(sections[-1], flush=True)
    if whole:
        RESULTS.write_text("\n".join([_HEAD, machine, "", *sections, _meaning()]))
        print(f"Written to {RESULTS.name}")


_HEAD = """# Benchmarks

Made by `make bench`. Everything compared ran side by side in one run, in interleaved rounds; a figure is the median of
its rounds. The ratios are the result: the absolute figures are this machine's.
"""


def _machine(place: Laboratory, load: float) -> str:
    version = place.administer("SHOW server_version")[0][0]
    cores, memory = psutil.cpu_count() or 1, psutil.virtual_memory().total / 2**30
    rounds = place.scale.rounds
    return (
        f"Commit {_commit()}. {cores} cores ({platform.machine()}, {platform.system()}), {memory:.0f} GB of memory,"
        f" load {load:.1f} when it began; PostgreSQL {version} with fsync and synchronous_commit on, and Daybook, and"
        f" the clients that drive them, all on the same cores; Python {platform.python_version()}; {rounds} rounds.\n"
    )


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=RESULTS.parent, check=True, capture_output=True, text=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", ":/", f":(exclude){RESULTS.name}")
    return f"`{git('rev-parse', '--short=12', 'HEAD')}`" + (" with changes not committed" if changed else "")


def _meaning() -> str:
    former = RESULTS.read_text() if RESULTS.exists() else ""
    return MEANING + former.partition(MEANING)[2] if MEANING in former else ""


if __name__ == "__main__":
    main()
