"""A stranger who has cloned the repository, ran `make run`, and now tries what the documents say, word for word."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

from tests.clients.node import MODULES, NODE
from tests.docs.blocks import ROOT

ADDRESS = "127.0.0.1:8000"
"""Where the documents say that the server is."""
DATABASE_URL = "postgresql://daybook:secret@db.example.com/daybook"
"""What the documents call an operator's own database."""
EXAMPLES = {
    "cus_01h455vb4pex5vsknk084sn02q": "{ customers(last: 1) { nodes { id } } }",
    "opp_01h455vb4pex5vsknk084sn02q": "{ opportunities(first: 1, where: {status: {eq: OPEN}}) { nodes { id } } }",
    "pip_01h455vb4pex5vsknk084sn02q": "{ pipelines(first: 1) { nodes { id } } }",
    "stf_01h455vb4pex5vsknk084sn02q": "{ staffMembers(first: 1) { nodes { id } } }",
    "tkt_01h455vb4pex5vsknk084sn02q": "{ tickets(first: 1, where: {status: {eq: OPEN}}) { nodes { id } } }",
}
"""Ids of the documents' examples, and the demo's record that each stands for."""

SECONDS = 60


class Stranger:
    """Has a working directory that looks like the clone, with a book of its own in `.daybook`, and a server."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self._directory, self._database_url = directory, database_url
        self._server: subprocess.Popen[str] | None = None
        self._port = 0
        self._said: dict[str, str] = {ADDRESS: "", DATABASE_URL: database_url}
        for one in ROOT.iterdir():
            if one.name not in (".daybook", ".venv"):
                (directory / one.name).symlink_to(one)
        (directory / ".venv").symlink_to(sys.prefix)
        (directory / MODULES.name).symlink_to(MODULES)

    def arrive(self) -> None:
        """Fill the book and sign it, start the server, find the records that the examples stand for."""
        self.bash(".venv/bin/daybook demo\n.venv/bin/daybook checkpoint", {})
        self.start()
        for example, query in EXAMPLES.items():
            (found,) = next(iter(self.ask(query, {})["data"].values()))["nodes"]
            self._said[example] = found["id"]

    def leave(self) -> None:
        if self._server is not None:
            server = self._server
            with suppress(subprocess.TimeoutExpired):
                self.stop()
            server.kill()

    def start(self) -> None:
        """Start the server; returns once it says that it is open."""
        command = [".venv/bin/daybook", "serve", "--port", str(self._port)]
        self._server = subprocess.Popen(
            command, cwd=self._directory, env=self._environment({}), stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout is not None
        for line in self._server.stdout:
            if line.startswith("Daybook is open at "):
                self._port = int(line.rsplit(":", 1)[1].partition("/")[0])
                self._said[ADDRESS] = f"127.0.0.1:{self._port}"
                return
        raise AssertionError(f"the server did not start: exit code {self._server.wait(SECONDS)}")

    def stop(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGTERM)
        self._server.communicate(timeout=SECONDS)
        self._server = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While the block lasts, the server does not run."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def bash(self, text: str, variables: dict[str, str]) -> str:
        """What a shell prints; `variables` are those of the shell, before and after. Fails where a command does."""
        state = self._directory / ".shell"
        script = f"set -euo pipefail -o allexport\n{self._here(text)}\nenv -0 > {state}"
        done = self._run(["bash", "-c", script], text, variables)
        after = dict(line.split("=", 1) for line in state.read_text(encoding="utf-8").split("\0") if "=" in line)
        before = self._environment({})
        variables.clear()
        variables.update({name: value for name, value in after.items() if before.get(name) != value})
        return done

    def python(self, text: str) -> str:
        """What a script prints."""
        return self._run([".venv/bin/python", "-c", self._here(text)], text, {})

    def javascript(self, text: str) -> str:
        """What a module prints."""
        return self._run([str(NODE), "--input-type=module", "--eval", self._here(text)], text, {})

    def ask(self, query: str, variables: Mapping[str, Any]) -> Any:
        """The answer to a query or mutation, or a subscription's first message."""
        asked = {"query": self._here(query), "variables": json.loads(self._here(json.dumps(variables)))}
        if query.lstrip().startswith("subscription"):
            return self._first_message(asked)
        url = f"http://127.0.0.1:{self._port}/graphql"
        return httpx.post(url, json=asked, headers={"Authorization": f"Bearer {self._token}"}, timeout=30).json()

    def _first_message(self, asked: Mapping[str, Any]) -> Any:
        with connect(f"ws://127.0.0.1:{self._port}/graphql", subprotocols=["graphql-transport-ws"]) as socket:  # type: ignore[list-item]
            socket.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {self._token}"}}))
            assert json.loads(socket.recv(SECONDS)) == {"type": "connection_ack"}
            socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": asked}))
            return json.loads(socket.recv(SECONDS))["payload"]

    @property
    def _token(self) -> str:
        return (self._directory / ".daybook" / "admin-token").read_text(encoding="ascii").strip()

    def _here(self, text: str) -> str:
        """The text with the documents' address, database and examples replaced by those of this test."""
        for said, meant in self._said.items():
            text = text.replace(said, meant)
        return text

    def _run(self, command: list[str], shown: str, variables: Mapping[str, str]) -> str:
        done = subprocess.run(
            command,
            cwd=self._directory,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{shown}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ}
        return {**kept, **variables}


@contextmanager
def stranger(database_url: str) -> Iterator[Stranger]:
    """A stranger in a directory of their own; in a short place, because libpq's socket paths are short."""
    directory = Path("/tmp") / f"daybook-docs-{os.getpid()}"
    directory.mkdir(mode=0o700)
    try:
        one = Stranger(directory, database_url)
        try:
            one.arrive()
            yield one
        finally:
            one.leave()
    finally:
        shutil.rmtree(directory)
