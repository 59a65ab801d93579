"""The page that a browser gets: it is complete, it needs nothing from elsewhere, and it is what its sources say."""

import json
import re
import subprocess
import sys
import zipfile
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from api.documents import Policy
from tests.api.book import Client, serving

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SOURCES, BROWSER = ROOT / "tools/graphiql", ROOT / "api/browser"
BUILT: dict[str, dict[str, str]] = json.loads((BROWSER / "built.json").read_text(encoding="utf-8"))
LOCK: dict[str, dict[str, Any]] = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))["packages"]

MEDIA = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}
ASSETS = sorted(file.name for file in BROWSER.iterdir() if file.suffix in MEDIA)
ASKS = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Authorization": ""}
STRANGERS = {
    "http://": "how relative addresses are told from others",
    "http://www.w3.org": "names of XML namespaces",
    "https://codemirror.net": "a comment on a licence",
    "https://commonmark.org": "texts about Markdown",
    "https://en.wikipedia.org": "a link in an error message",
    "https://github.com": "links in error messages",
    "https://react.dev": "links in error messages",
    "https://yarnpkg.com": "a link in an error message",
}
"""Addresses that stand in the script, and why. None is ever asked; the policy would not let it be."""


class Loads(HTMLParser):
    """What a page asks for by itself, and whether anything in it is a script or a style of its own."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [given[name] or "" for name in ("href", "src", "action", "data") if name in given]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def directives(policy: str) -> dict[str, str]:
    """Each directive of a policy, and what it lets through."""
    return {name: allowed for name, _, allowed in (part.strip().partition(" ") for part in policy.split(";"))}


async def page(client: Client) -> str:
    return (await client.http.get("/graphql", headers=ASKS)).text


async def test_a_browser_gets_a_page_under_a_policy_that_lets_nothing_else_in(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        answer = await client.http.get("/graphql", headers=ASKS)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["cache-control"] == "no-store"
        assert directives(answer.headers["content-security-policy"]) == {
            "default-src": "'none'",
            "base-uri": "'none'",
            "connect-src": "'self'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
            "img-src": "data:",
            "script-src": "'self'",
            "style-src": "'self'",
        }
        for name in ("X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options"):
            assert name in answer.headers


async def test_whatever_the_page_asks_for_is_here_and_may_be_kept_for_good(database: str, tmp_path: Path) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        loads = Loads(await page(client))
        assert loads.inline == []
        asked = [address for address in loads.addresses if not address.startswith("data:")]
        assert sorted(asked) == [f"graphql/assets/{name}" for name in ASSETS], "relative: a proxy may add a prefix"
        for name in ASSETS:
            answer = await client.http.get(f"/graphql/assets/{name}", headers={"Authorization": ""})
            assert answer.status_code == 200
            assert answer.content == (BROWSER / name).read_bytes()
            assert answer.headers["content-type"] == f"{MEDIA[Path(name).suffix]}; charset=utf-8"
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            head = await client.http.head(f"/graphql/assets/{name}")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers == answer.headers


async def test_nothing_but_the_pages_own_files_is_there_and_they_can_only_be_read(
    database: str, tmp_path: Path
) -> None:
    async with serving(database, tmp_path, projections=False) as client:
        unknown = ("", "x", "x.js", "built.json", "graphiql.html", "graphiql.js", "..%2Fgraphiql.py", "%00")
        for name in (*unknown, f"x/{ASSETS[0]}", ASSETS[0].upper()):
            assert (await client.http.get(f"/graphql/assets/{name}")).status_code == 404, name
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            refused = await client.http.request(method, f"/graphql/assets/{ASSETS[0]}")
            assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"}), method
        foreign = await client.http.get(f"/graphql/assets/{ASSETS[0]}", headers={"Host": "evil.example"})
        assert foreign.status_code == 421


@pytest.mark.parametrize("policy", [Policy(production=True), Policy(trusted_only=True)], ids=["production", "trusted"])
async def test_where_there_is_no_page_there_are_no_files_of_it(database: str, tmp_path: Path, policy: Policy) -> None:
    async with serving(database, tmp_path, projections=False, policy=policy) as client:
        assert not (await client.http.get("/graphql", headers=ASKS)).headers["content-type"].startswith("text/html")
        for name in ASSETS:
            assert (await client.http.get(f"/graphql/assets/{name}")).status_code == 404


def test_script_and_style_sheet_load_nothing() -> None:
    script, style = (next(BROWSER.glob(f"graphiql-*.{end}")).read_text(encoding="utf-8") for end in ("js", "css"))
    assert set(re.findall(r"(?:https?|wss?)://[\w.:-]*", script)) <= STRANGERS.keys()
    assert not re.search(r"\bimport\s*\(|\bnew Function\b|(?<![\w.])eval\(", script), "the policy forbids it"
    assert "sourceMappingURL" not in script + style
    assert "@import" not in style
    assert all(address.startswith("data:image/") for address in re.findall(r"url\(([^)]*)", style))


def test_the_files_are_what_the_sources_and_the_pinned_packages_gave() -> None:
    sources = [SOURCES / name for name in ("build.js", "package.json", "package-lock.json")]
    sources += [file for folder in ("first-steps", "source") for file in (SOURCES / folder).iterdir()]
    now = {file.relative_to(SOURCES).as_posix(): sha256(file.read_bytes()).hexdigest() for file in sources}
    assert now == BUILT["from"], "sources have changed since `make graphiql`"
    files = {file.name: sha256(file.read_bytes()).hexdigest() for file in BROWSER.iterdir() if file.suffix != ".json"}
    assert files == BUILT["files"], "built files are not edited: change tools/graphiql, and `make graphiql`"
    pinned = {(path.rpartition("node_modules/")[2], package.get("version", "")) for path, package in LOCK.items()}
    assert {(name, told.partition(",")[0]) for name, told in BUILT["packages"].items()} <= pinned
    assert {"graphiql", "react", "graphql", "graphql-ws"} <= BUILT["packages"].keys()
    assert not [path for path, package in LOCK.items() if "resolved" in package], "anybody's registry will do"


def test_every_package_in_it_is_there_with_its_licence() -> None:
    (licences,) = (BROWSER / name for name in ASSETS if name.startswith("licences-"))
    texts = licences.read_text(encoding="utf-8").split(f"\n{'=' * 80}\n\n")
    named = {text.partition("\n")[0] for text in texts}
    assert named == {f"{name} {told.partition(',')[0]}" for name, told in BUILT["packages"].items()}
    assert all(len(text.partition("\n")[2].strip()) >= 3 for text in texts)
    terms = {told.partition(", ")[2] for told in BUILT["packages"].values()}
    assert terms == {"MIT", "Apache-2.0", "BSD-2-Clause", "0BSD"}


def test_its_first_steps_are_valid() -> None:
    schema = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))
    steps = {file.stem: parse(file.read_text(encoding="utf-8")) for file in (SOURCES / "first-steps").iterdir()}
    assert [fault.message for step in steps.values() for fault in validate(schema, step)] == []
    assert steps.keys() == {"query", "mutation", "subscription"}


async def test_its_first_query_and_mutation_do_something(database: str, tmp_path: Path) -> None:
    query, mutation = ((SOURCES / f"first-steps/{name}.graphql").read_text() for name in ("query", "mutation"))
    key = "93dd78e4-27ad-4d65-9025-f322cea03a54"
    async with serving(database, tmp_path) as client:
        new = {"idempotencyKey": key, "kind": "PERSON", "name": "Ada Lovelace"}
        registered = (await client.data(mutation, {"new": new}))["customerRegister"]
        assert registered["userErrors"] == []
        (customer,) = (await client.data(query))["customers"]["nodes"]
        assert (customer["id"], customer["name"]) == (registered["customer"]["id"], "Ada Lovelace")


def test_an_installed_daybook_has_its_files(tmp_path: Path) -> None:
    copy(ROOT / "pyproject.toml", tmp_path)
    copytree(ROOT / "api", tmp_path / "api")
    build = "import setuptools.build_meta as backend; print(backend.build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    with zipfile.ZipFile(tmp_path / done.stdout.splitlines()[-1]) as wheel:
        inside = {name.removeprefix("api/browser/") for name in wheel.namelist() if name.startswith("api/browser/")}
    assert {*ASSETS, "graphiql.html"} <= inside
