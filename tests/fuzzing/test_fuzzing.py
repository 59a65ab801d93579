"""schemathesis over the published schema, against a real server with the demo's book."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.docs.blocks import ROOT
from tests.faults.processes import HEADERS, TOKEN, Process, Server, stopped_at_the_end, until

SECONDS = 600
"""On a loaded machine; alone it takes half a minute."""
LEAST_ENTERED = 25
"""Commands that must have had an effect; without them only refusals were tested."""


def test_whatever_is_asked_is_answered_as_the_schema_says(database: str, tmp_path: Path) -> None:
    demo, server = Process(database, tmp_path, "demo", name="demo"), Server(database, tmp_path)
    with stopped_at_the_end(demo, server):
        demo.start()
        assert demo.wait_done() == 0, demo.tail()
        server.start()
        server.wait_ready()
        until(lambda: caught_up(server), "the read models have the demo")
        before = entries(server)
        done = fuzzed(server, tmp_path)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        assert entries(server) - before > LEAST_ENTERED
        until(lambda: caught_up(server), "the read models catch up")
        assert read_models(server)["parkedLanes"] == 0
        assert "Traceback" not in server.log.read_text(encoding="utf-8")


def fuzzed(server: Server, directory: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("schemathesis")
    config, schema = ROOT / "tests" / "fuzzing" / "schemathesis.toml", ROOT / "schema.graphql"
    return subprocess.run(
        [program, "--config-file", config, "run", "--no-color", "--url", server.url, schema],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DAYBOOK_URL": server.url, "DAYBOOK_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def entries(server: Server) -> int:
    """How many entries the book has."""
    query = "{ history(last: 1) { nodes { position } } }"
    answer = httpx.post(server.url, json={"query": query}, headers=HEADERS, timeout=30).json()
    return int(answer["data"]["history"]["nodes"][0]["position"])


def caught_up(server: Server) -> bool:
    """Whether the read models have all that the book holds."""
    return all(one["lag"] == 0 for one in read_models(server)["models"])


def read_models(server: Server) -> dict[str, Any]:
    """What the server says of its read models."""
    answer: dict[str, Any] = httpx.get(server.url.replace("/graphql", "/readyz"), timeout=30).json()
    return answer
