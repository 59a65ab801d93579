"""The fenced blocks of the documents, and what each of them is to a test.

    ```bash              run; exit code 0
    ```console           `$ command` lines, run; what follows each is its output, where `…` stands for anything
    ```python            run as a script
    ```javascript        run as a module, beside the packages of tests/clients
    ```graphql           asked; no errors, and no userErrors but those that the answer below shows
    ```json variables    of the graphql block above
    ```json answer       what the block above answers (answers.py); for console, python, javascript also ```text answer
    ```json, toml, csv   must be well-formed
    ```text, mermaid     read by people only

A comment above a block says what is special about it, to readers of the source too:

    <!-- not run: why -->
    <!-- run while the server is stopped -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

RUN = frozenset(("bash", "console", "python", "javascript", "graphql"))
READ = frozenset(("json", "toml", "csv", "text", "mermaid"))

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) ?(?P<role>.*)$")
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_STOPPED = "<!-- run while the server is stopped -->"


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    document: str
    line: int
    language: str
    role: str
    text: str
    not_run: str | None
    """Why it can't be run here."""
    stopped: bool
    """Whether the server must not run meanwhile."""

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> list[str]:
    """Every Markdown file of the project, as a path from its root."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
    return sorted(str(file.relative_to(ROOT)) for file in found)


def blocks(document: str) -> list[Block]:
    return list(_blocks(document, (ROOT / document).read_text(encoding="utf-8").splitlines()))


def prose(document: str) -> str:
    """The document without its blocks."""
    text, fenced = list[str](), False
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            text.append(line)
    return "\n".join(text)


def _blocks(document: str, lines: list[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            at += 1
            continue
        indent = opening["indent"]
        end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
        above = next((line.strip() for line in reversed(lines[:at]) if line.strip()), "")
        not_run = _NOT_RUN.fullmatch(above)
        yield Block(
            document=document,
            line=at + 1,
            language=opening["language"],
            role=opening["role"].strip(),
            text="\n".join(line.removeprefix(indent) for line in lines[at + 1 : end]) + "\n",
            not_run=not_run[1] if not_run else None,
            stopped=above == _STOPPED,
        )
        at = end + 1
