"""The clients that frontends use, each against a real server with the demo's book."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from tests.clients.node import MODULES, PROJECT, passed, tool
from tests.docs.blocks import ROOT
from tests.faults.processes import TOKEN, Process, Server, stopped_at_the_end

Serving = Callable[..., AbstractContextManager[dict[str, str]]]
"""Starts a server with these options, as an operator would; gives what scripts need to know of it."""


@pytest.fixture(scope="module")
def serving(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """Servers with the demo's book."""
    directory = tmp_path_factory.mktemp("clients")
    demo = Process(module_database, directory, "demo", name="demo")
    with stopped_at_the_end(demo):
        demo.start()
        assert demo.wait_done() == 0, demo.tail()

    @contextmanager
    def start(*options: str) -> Iterator[dict[str, str]]:
        server = Server(module_database, directory, *options)
        with stopped_at_the_end(server):
            server.start()
            server.wait_ready()
            yield {"DAYBOOK_URL": server.url, "DAYBOOK_TOKEN": TOKEN}

    return start


@pytest.fixture(scope="module")
def server(serving: Serving) -> Iterator[dict[str, str]]:
    with serving() as variables:
        yield variables


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A copy of the Node project that compilers may write into, with the schema where theirs is."""
    project = tmp_path / PROJECT.relative_to(ROOT)
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns(MODULES.name, "*.py", "__pycache__"))
    (project / MODULES.name).symlink_to(MODULES)
    shutil.copy(ROOT / "schema.graphql", tmp_path)
    return project


def test_all_61_audits_of_graphql_over_http_pass(server: dict[str, str]) -> None:
    assert passed(PROJECT / "conformance.mjs", server) == 62, "the audits, and one test that counts them"


def test_graphql_ws(server: dict[str, str]) -> None:
    passed(PROJECT / "transport_ws.mjs", server)


def test_graphql_sse(server: dict[str, str]) -> None:
    passed(PROJECT / "event_stream.mjs", server)


def test_urql(server: dict[str, str]) -> None:
    passed(PROJECT / "urql.mjs", server)


def test_relay(serving: Serving, workplace: Path) -> None:
    """The compiler, its manifest of documents, and the runtime, at a server that takes nothing else."""
    relay = workplace / "relay"
    tool("relay-compiler", cwd=relay)
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    manifest = json.loads((relay / "persisted.json").read_text(encoding="utf-8"))
    assert len(manifest) == 5
    assert [validate(schema, parse(text)) for text in manifest.values()] == [[]] * 5
    with serving("--documents", str(relay / "persisted.json"), "--trusted-only") as server:
        passed(relay / "run.mjs", server)


def test_graphql_codegen_makes_strict_typescript_that_compiles(workplace: Path) -> None:
    codegen = workplace / "codegen"
    tool("graphql-codegen", "--config", "codegen.json", cwd=codegen)
    tool("tsc", "--project", ".", cwd=codegen)
