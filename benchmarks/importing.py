"""Importing: `daybook import` as an operator calls it, in a process of its own."""

import csv
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.laboratory import Laboratory
from benchmarks.results import Figure, Section
from benchmarks.server import daybook, settings

_ROOT = Path(__file__).parent.parent
MAVEN = _ROOT.parent / "shared" / "data" / "maven-crm"
MAPPINGS = _ROOT / "mappings" / "maven-crm"


class Step(NamedTuple):
    """One call of `daybook import`."""

    kind: str
    file: str
    mapping: Path


# In an order in which everything exists before it is referred to.
_STEPS = (
    ("products", "products.csv", "products"),
    ("teams", "sales_teams.csv", "regions"),
    ("staff", "sales_teams.csv", "managers"),
    ("teams", "sales_teams.csv", "teams"),
    ("staff", "sales_teams.csv", "agents"),
    ("customers", "accounts.csv", "accounts"),
    ("opportunities", "sales_pipeline.csv", "sales_pipeline"),
)

_GENERATED = """
kind = "customers"
external_id = "id"

[[step]]
do = "register"
[step.fields]
kind = { constant = "organisation" }
name = "name"

[[step]]
do = "addNote"
[step.fields]
text = "note"
"""


def run(laboratory: Laboratory) -> Section:
    folder = laboratory.folder / "importing"
    folder.mkdir()
    real = MAVEN.is_dir()
    steps = list(_maven(folder) if real else _made_up(folder, laboratory.scale.events // 2))
    if laboratory.scale.rounds == 1:
        _shorten(folder)
    figures: list[Figure] = []
    with laboratory.database() as conninfo:
        for step in steps:
            laboratory.say(f"importing: {step.file} as {step.kind}")
            rows, seconds = _import(folder, step, conninfo)
            if rows > 500 or laboratory.scale.rounds == 1:
                figures.append(Figure(f"{step.file}, {rows:,} rows", rows / seconds, "/s"))
                again, seconds = _import(folder, step, conninfo)
                figures.append(Figure(f"{step.file}, the same file again", again / seconds, "/s"))
    return Section(
        "Importing",
        figures,
        [
            ("The public Maven CRM data set." if real else "Made-up rows: the Maven CRM data set was not there.")
            + " Rows a second of the whole process, from its start to its end; no read models are posted meanwhile.",
        ],
    )


def _import(folder: Path, step: Step, conninfo: str) -> tuple[int, float]:
    """Rows of the file, and seconds of the whole process."""
    words = ("import", step.kind, str(folder / step.file), "--map", str(step.mapping), "--source", "bench")
    began = time.perf_counter()
    process = daybook(*words, environment=settings(folder, conninfo))
    process.communicate()
    if process.returncode:
        raise RuntimeError(f"the import of {step.file} ended with {process.returncode}")
    with (folder / step.file).open(encoding="utf-8", newline="") as rows:
        return sum(1 for _ in csv.DictReader(rows)), time.perf_counter() - began


def _maven(folder: Path) -> Iterator[Step]:
    for file in MAVEN.glob("*.csv"):
        shutil.copyfile(file, folder / file.name)  # rejected rows are written beside it
    for kind, rows, mapping in _STEPS:
        yield Step(kind, rows, MAPPINGS / f"{mapping}.toml")


def _made_up(folder: Path, rows: int) -> Iterator[Step]:
    lines = [f"{number},Company {number},called back" for number in range(rows)]
    (folder / "companies.csv").write_text("\n".join(["id,name,note", *lines]) + "\n", encoding="utf-8")
    mapping = folder / "companies.toml"
    mapping.write_text(_GENERATED, encoding="utf-8")
    yield Step("customers", "companies.csv", mapping)


def _shorten(folder: Path) -> None:
    """Leave 200 rows of each file: enough to show that it runs."""
    for file in folder.glob("*.csv"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[:201]), encoding="utf-8")
