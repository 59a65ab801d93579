"""What the documents point at exists: files, headings, settings, metrics, error codes, events, make's targets."""

import json
import re
from collections.abc import Iterator
from inspect import getsource
from pathlib import Path
from typing import Any

import pytest
import typer
from prometheus_client import Metric

from api import health, limits, live
from api.access_log import Line
from api.cli.book import EXIT_CODES
from api.command_line import app
from api.errors import ErrorCode, RequestErrorCode
from api.reading import wheres
from api.throttling import FULL
from infra import settings
from projections.registry import models
from tests.docs.blocks import ROOT, blocks, documents, prose

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_OURS = re.compile(r"(?:api|benchmarks|docs|domain|infra|mappings|projections|tests|tools|\.ci)/[\w./-]*")


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(file: Path) -> set[str]:
    text = prose(str(file.relative_to(ROOT)))
    return {slug(line.lstrip("#")) for line in text.splitlines() if line.startswith("#")}


def broken_links(document: str) -> Iterator[str]:
    for target in _LINK.findall(prose(document)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = ((ROOT / document).parent / name).resolve() if name else ROOT / document
        if not file.exists():
            yield target
        elif anchor and anchor not in anchors(file):
            yield f"{target} (no such heading)"


@pytest.mark.parametrize("document", documents())
def test_links_lead_somewhere(document: str) -> None:
    assert list(broken_links(document)) == []


@pytest.mark.parametrize("document", documents())
def test_files_that_are_named_exist(document: str) -> None:
    named = [code for code in _CODE.findall(prose(document)) if _OURS.fullmatch(code)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def first_column(document: str, heading: str) -> list[str]:
    """The code in the first column of the tables below a heading."""
    section = re.split(r"^## ", (ROOT / document).read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{heading}\n"))
    return [code for cell in re.findall(r"^\| (`[^|]+`) \|", text, flags=re.MULTILINE) for code in _CODE.findall(cell)]


def test_the_operator_is_told_of_every_setting() -> None:
    read = set(re.findall(r'"((?:DAYBOOK|DATABASE)_[A-Z_]+)"', getsource(settings)))
    assert set(first_column("docs/operator/README.md", "Settings")) == read


def commands(command: Any, *path: str) -> Iterator[tuple[str, set[str]]]:
    """Every command below one, and its options: of several names the longest, of two opposites the one that is not the
    default."""
    if below := getattr(command, "commands", None):
        for name, one in below.items():
            yield from commands(one, *path, name)
    else:
        options = [one for one in command.params if one.param_type_name == "option"]
        yield " ".join(path), {max(one.secondary_opts or one.opts, key=len) for one in options}


def told_commands() -> Iterator[tuple[str, set[str]]]:
    section = (ROOT / "docs/operator/README.md").read_text(encoding="utf-8").partition("\n## Commands\n")[2]
    for row in re.findall(r"^\| (`[^|]+) \|", section.partition("\n## ")[0], flags=re.MULTILINE):
        for words in row.split(", "):
            name, *options = _CODE.findall(words)
            yield " ".join(word for word in name.split() if word.islower()), set(options)


def test_the_operator_is_told_of_every_command_and_option() -> None:
    assert dict(told_commands()) == dict(commands(typer.main.get_command(app)))


def test_the_operator_is_told_of_every_exit_code() -> None:
    told = prose("docs/operator/README.md").partition("Exit codes of all of them:")[2].partition("A command that")[0]
    assert re.findall(r"\b(\d) ", told) == re.findall(r"\*\*(\d)\*\*", EXIT_CODES)


def test_the_operator_is_told_of_all_that_the_log_holds() -> None:
    assert set(first_column("docs/operator/README.md", "Log")) == set(Line.__struct_encode_fields__)


def test_the_operator_is_told_of_every_metric() -> None:
    def shown(metric: Metric) -> str:
        return f"{metric.name}_total" if metric.type == "counter" else metric.name

    told = [name for name in first_column("docs/operator/README.md", "Watch") if not name.startswith("/")]
    assert sorted(told) == sorted(shown(metric) for metric in health.REGISTRY.collect())


def test_the_operator_is_told_of_every_read_model() -> None:
    text = prose("docs/operator/README.md")
    assert [model.name for model in models if f"`{model.name}`" not in text] == []


def test_frontends_are_told_of_every_error_code() -> None:
    assert set(first_column("docs/frontend/README.md", "Errors")) == {code.value for code in RequestErrorCode}


def test_frontends_are_told_of_every_code_that_closes_a_websocket() -> None:
    section = (ROOT / "docs/frontend/live.md").read_text(encoding="utf-8").partition("\n## Over a WebSocket\n")[2]
    told = {int(code) for code in re.findall(r"^\| (\d{4}) \|", section.partition("\n## ")[0], flags=re.MULTILINE)}
    ours = {
        live.UNAUTHORIZED,
        live.FORBIDDEN,
        live.RESET,
        live.MALFORMED,
        live.NO_PLACE,
        live.TRY_AGAIN_LATER,
        live.FAULT,
    }
    protocols = {4406, 4408, 4409}  # graphql-transport-ws
    servers = {1009, 1012}  # RFC 6455: too large, restarting
    assert told == ours | protocols | servers


def test_codes_in_capitals_are_some_that_there_are() -> None:
    values = re.findall(
        r"^  ([A-Z][A-Z_]+)$", (ROOT / "schema.graphql").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    known = {*values, *ErrorCode.__members__, *RequestErrorCode, "BEHIND", "PARKED"}
    told = {
        (one, code)
        for one in documents()
        if one.startswith("docs/") and "/adr/" not in one
        for code in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", prose(one))
        if not code.startswith(("DAYBOOK_", "DATABASE_", "HTTPS_"))
    }
    assert {(one, code) for one, code in told if code not in known} == set()


def test_every_page_is_in_the_list_of_documents() -> None:
    listed = {((ROOT / "docs") / link.partition("#")[0]).resolve() for link in _LINK.findall(prose("docs/README.md"))}
    pages = {file for file in ROOT.glob("docs/*/*.md") if file.parent.name != "adr"}
    assert sorted(str(file.relative_to(ROOT)) for file in pages - listed) == []


def test_contributors_are_told_of_every_layer_of_tests() -> None:
    folders = {f"tests/{file.parent.name}" for file in ROOT.glob("tests/*/__init__.py")}
    assert set(first_column("docs/contributor/README.md", "The layers of tests")) == folders


def test_frontends_are_told_the_limits() -> None:
    text = prose("docs/frontend/limits.md")
    most = {name: value for name, value in vars(limits).items() if name.startswith("MOST_")}
    assert {name: value for name, value in most.items() if f"| {value:,} |" not in text} == {}
    told = (settings.COST_PER_SECOND, settings.SUBSCRIPTIONS_PER_ACTOR, settings.CONNECTIONS_PER_ACTOR, FULL)
    assert [f"{one:,}" for one in (*told[:3], told[0] * told[3]) if f"{one:,}" not in text] == []
    text = prose("docs/frontend/lists.md")
    assert [one for one in (wheres.MOST, wheres.DEEPEST) if f"| {one} |" not in text] == []


def test_frontends_are_told_of_clients_that_are_tested() -> None:
    packages = json.loads((ROOT / "tests" / "clients" / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    told = first_column("docs/frontend/clients.md", "What is tested")
    assert [name for name in told if name not in packages] == ["gql"], "the one that is no package of npm"


def test_the_commands_of_make_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {word for one in documents() for word in re.findall(r"`(?:\w+=\S+ )?make ([a-z-]+)", prose(one))}
    named |= {
        word
        for one in documents()
        for block in blocks(one)
        if block.language == "bash"
        for word in re.findall(r"^make ([a-z-]+)", block.text, flags=re.MULTILINE)
    }
    assert sorted(name for name in named - targets if not name.startswith("suite-on-")) == []


def test_every_decision_is_in_the_index() -> None:
    index = prose("docs/adr/README.md")
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert [file.name for file in records if f"({file.name})" not in index] == []
    assert all(file.read_text(encoding="utf-8").startswith(f"# {int(file.name[:4])}. ") for file in records)
