"""The story of a customer as a page: complete, readable without a browser's help, and nothing but text in it."""

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import pytest

from api.auditing.page import page
from api.replay import Happening, called, replay
from domain.access import unlimited
from domain.catalogue import catalogue
from domain.kernel import type_id
from domain.kernel.recorded import Context
from domain.steps import blocking
from tests.api.filled import opened
from tests.api.test_command_line import OK, Shell

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></td></table><h1>Not so</h1>",
    "&lt;b&gt; & <!-- --> ]]>",
    "javascript:alert(1)' onmouseover='alert(2)",
    "{{7*7}} ${7*7} \u202egnp.exe",
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "dl", "dt", "dd", "table", "caption",
    "thead", "tbody", "tr", "th", "td", "div", "time", "br", "span",
}  # fmt: skip
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "scope", "datetime"}


class Read(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


@pytest.fixture(scope="module")
def shell(module_database: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, str]:
    """A customer with a hostile name, and notes."""
    folder = tmp_path_factory.mktemp("page")
    with opened(module_database, folder) as parts:

        def told(verb: str, reason: str | None = None, /, **values: Any) -> Any:
            context = Context(actor="<b>", idempotency_key=uuid4(), correlation_id=uuid4(), reason=reason)
            submitted = parts.commands.submit(catalogue.deciders["customer"], verb, values, context, unlimited("<b>"))
            return blocking(submitted)

        id = told("register", kind="person", name=HOSTILE[0]).id
        for text in HOSTILE:
            told("addNote", id=id, text=text)
        told("rename", HOSTILE[1], id=id, name=HOSTILE[2])
        told("addTag", id=id, tag=HOSTILE[3])
        story = [*replay(parts, type_id("cus", id))]
        assert called(parts, type_id("cus", id)).startswith(HOSTILE[2])
        assert len(story) == len(HOSTILE) + 3
    return Shell(module_database, folder), type_id("cus", id)


def test_every_entry_stands_there_and_every_value_is_text(shell: tuple[Shell, str]) -> None:
    where, id = shell
    file = where.folder / "story.html"
    done = where.run("replay", id, "--html", str(file))
    assert (done.returncode, "outlive an erasure" in done.stderr, file.stat().st_mode & 0o077) == (OK, True, 0)
    read = Read(file.read_text(encoding="utf-8"))
    assert read.open == []
    assert {tag for tag, _ in read.tags} <= TAGS
    assert {name for _, attributes in read.tags for name in attributes} <= ATTRIBUTES
    text = "".join(read.texts)
    for one in HOSTILE:
        assert one.replace("\u202e", "\ufffd") in text
    names = [tag for tag, _ in read.tags]
    assert (names.count("h1"), names.count("table"), names.count("script")) == (1, 1, 0)
    assert len([one for one in read.tags if one == ("th", {"scope": "row"})]) == len(HOSTILE) + 3
    assert [one["scope"] for tag, one in read.tags if tag == "th" and one["scope"] == "col"] == ["col"] * 3
    assert ("html", {"lang": "en"}) in read.tags


def test_nothing_comes_from_outside(shell: tuple[Shell, str]) -> None:
    where, id = shell
    file = where.folder / "again.html"
    where.run("replay", id, "--all", "--html", str(file))
    read = Read(file.read_text(encoding="utf-8"))
    policies = [one["content"] for tag, one in read.tags if one.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert (policies[0] or "").startswith("default-src 'none'; style-src 'unsafe-inline'")
    [style] = [text for text in read.texts if "@media print" in text]
    assert "url(" not in style
    assert "@import" not in style


def test_what_was_recorded_later_says_so() -> None:
    at = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    one = Happening(
        occurred_at=at, recorded_at=at + timedelta(days=3), position=7, record="cus_1", version=1, event="CustomerX",
        what="It was.", words="It was.", actor="a", on_behalf_of="b", reason=None, values={"old": None, "kind": "x"},
    )  # fmt: skip
    told = "".join(Read(page("Ada", [one], made_at=at)).texts)
    assert "recorded 2026-03-05 09:30" in told
    assert "a for b" in told
    assert "kindx" in told
