"""`python -m benchmarks [names…]`: all of them or some; each puts its section into RESULTS.md."""

import argparse
import os
import platform
import re
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
    "log",
    "attesting",
    "serving",
    "reading",
    "past",
    "growth",
    "rights",
    "live",
    "documents",
    "profile",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
_AT_FIRST = 10
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
    with laboratory(scale) as place:
        place.machine.watch(min(_AT_FIRST, scale.patience))
        for name in asked.names or NAMES:
            place.say(f"{name} ...")
            circumstances, before = _circumstances(place), place.machine.look()
            found = markdown(import_module(f"benchmarks.{name}").run(place))
            pace = f"The yardstick took {before:.3g} ms before and {place.machine.look():.3g} ms after.\n"
            print(found, circumstances, pace, sep="\n", flush=True)
            if not asked.quick:
                _keep(f"{found}\n{circumstances} {pace}\n")


def _keep(section: str) -> None:
    """Put a section in the place of the former one of its title; the others stand until they are measured again."""
    former, _, meaning = RESULTS.read_text().partition(MEANING)
    sections = {part.partition("\n")[0]: part for part in re.split(r"^(?=## )", former, flags=re.MULTILINE)[1:]}
    sections[section.partition("\n")[0]] = section
    RESULTS.write_text(f"{_HEAD}\n{''.join(sections.values())}{MEANING}{meaning}")


_HEAD = """# Benchmarks

Made by `make bench`, or a part of it by `python -m benchmarks NAME`. Everything compared ran side by side in one run,
in interleaved rounds; a figure is the median of its rounds. The ratios are the result: the absolute figures are this
machine's. PostgreSQL has fsync and synchronous_commit on, and runs with Daybook and its clients on the same cores.
The yardstick is a fixed piece of Python, on the slowest core: 5 to 7 ms here in a quiet minute, by the host, and twice
that beside neighbours on it, who come and go within seconds. So where a table has a column `all`, a measurement counts
only if the machine had its full pace just before and just after it; otherwise it is made again, whatever its figure.
The text below says how many were. The column has the figure of every measurement, of those that do not count as well.
"""


def _circumstances(place: Laboratory) -> str:
    version = place.administer("SHOW server_version")[0][0]
    cores, memory = psutil.cpu_count() or 1, psutil.virtual_memory().total / 2**30
    return (
        f"Commit {_commit()}; {cores} cores ({platform.machine()}, {platform.system()}), {memory:.0f} GB of memory,"
        f" load {os.getloadavg()[0]:.1f} when it began; PostgreSQL {version}, Python {platform.python_version()};"
        f" {place.scale.rounds} rounds."
    )


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=RESULTS.parent, check=True, capture_output=True, text=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", ":/", f":(exclude){RESULTS.name}")
    return f"`{git('rev-parse', '--short=12', 'HEAD')}`" + (" with changes not committed" if changed else "")


if __name__ == "__main__":
    main()
