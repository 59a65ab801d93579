"""Every command, query and script in the documents is run, as a stranger would type it, against a real demo book."""

import json
import shutil
import tomllib
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.docs.answers import differences, lines_differ
from tests.docs.blocks import READ, RUN, Block, blocks, documents
from tests.docs.stranger import Stranger, stranger

MOST_NOT_RUN = 12


@pytest.fixture(scope="module")
def visitor(_server: tuple[str, str]) -> Iterator[Stranger]:
    """One demo book and one server for all documents; the operator's own database is an empty one of the tests'."""
    given = conninfo_to_dict(_server[0])
    with psycopg.connect(_server[1], autocommit=True) as db:
        name = sql.Identifier("operators_own")
        db.execute(sql.SQL("CREATE DATABASE {} OWNER daybook").format(name))
        user, password, host = (quote(str(given[part]), safe="") for part in ("user", "password", "host"))
        try:
            with stranger(f"postgresql://{user}:{password}@{host}:{given['port']}/operators_own") as one:
                yield one
        finally:
            db.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.mark.parametrize("document", [one for one in documents() if any(b.language in RUN for b in blocks(one))])
def test_a_stranger_can_do_what_the_document_says(visitor: Stranger, document: str) -> None:
    """The blocks of a document run one after the other; variables of the shell stay."""
    here = [one for one in blocks(document) if one.not_run is None]
    if shutil.which("curl") is None and any("curl " in one.text for one in here):
        pytest.skip("curl is not installed, and this document's examples use it")
    shell: dict[str, str] = {}
    answer = ""
    for at, block in enumerate(here):
        following = here[at + 1] if at + 1 < len(here) else None
        if block.stopped:
            with visitor.stopped():
                answer = run(visitor, block, following, shell)
        elif block.language in RUN:
            answer = run(visitor, block, following, shell)
        elif block.role == "answer":
            check_answer(block, answer)


def run(visitor: Stranger, block: Block, following: Block | None, shell: dict[str, str]) -> str:
    """What the block answers."""
    match block.language:
        case "bash":
            return visitor.bash(block.text, shell)
        case "console":
            return run_console(visitor, block, shell)
        case "python":
            return visitor.python(block.text)
        case "javascript":
            return visitor.javascript(block.text)
        case _:
            variables = json.loads(following.text) if following and following.role == "variables" else {}
            answer = visitor.ask(block.text, variables)
            assert "errors" not in answer, f"{block.place}: {answer['errors']}"
            refused = [field["userErrors"] for field in answer["data"].values() if has_user_errors(field)]
            assert not refused or shows_answer(block), f"{block.place}: {refused}"
            return json.dumps(answer)


def run_console(visitor: Stranger, block: Block, shell: dict[str, str]) -> str:
    answer = ""
    for part in ("\n" + block.text).split("\n$ ")[1:]:
        command, _, output = part.partition("\n")
        answer = visitor.bash(command, shell)
        assert list(lines_differ(output, answer)) == [], f"{block.place}: {command}\nprinted\n{answer}"
    return answer


def has_user_errors(field: object) -> bool:
    return isinstance(field, dict) and bool(field.get("userErrors"))


def shows_answer(block: Block) -> bool:
    """Whether the document shows what the block answers: then that says which errors belong there."""
    later = [one.role for one in blocks(block.document) if one.line > block.line]
    return later[later[:1] == ["variables"] :][:1] == ["answer"]


def check_answer(block: Block, given: str) -> None:
    if block.language == "text":
        assert list(lines_differ(block.text, given)) == [], f"{block.place}: what was answered is\n{given}"
        return
    shown, answer = json.loads(block.text), json.loads(given)
    if isinstance(shown, dict) and "extensions" not in shown:
        answer.pop("extensions", None)  # what every answer says beside its data is told of once
    found = list(differences(shown, answer))
    assert found == [], f"{block.place}: what was answered is\n{given}"


@pytest.mark.parametrize("document", documents())
def test_every_block_is_one_that_the_tests_know(document: str) -> None:
    for block in blocks(document):
        assert block.language in RUN | READ, f"{block.place}: say the language of this block (see tests/docs/blocks.py)"
        if block.language == "json":
            json.loads(block.text)
        if block.language == "toml":
            tomllib.loads(block.text)


def test_few_blocks_are_not_run() -> None:
    left_out = [block for document in documents() for block in blocks(document) if block.not_run]
    assert len(left_out) <= MOST_NOT_RUN, "\n".join(f"{block.place}: {block.not_run}" for block in left_out)
