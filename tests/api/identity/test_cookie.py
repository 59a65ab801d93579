"""The session's cookie among those of a request: whoever sends one is a stranger until it is read."""

import http.cookies
from typing import Any, NoReturn

import pytest
from starlette.datastructures import Headers

from api.identity.cookie import cookie_value

OURS = "daybook-session"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"{OURS}=abc-_1", "abc-_1"),
        (f"theme=dark; {OURS}=abc; lang=de", "abc"),
        (f"{OURS} = abc ;x", "abc"),
        (f"{OURS}=first; {OURS}=last", "last"),
        (f"{OURS}=a=b", "a=b"),
        (f"{OURS}=", ""),
        (f"x{OURS}=abc", None),
        (f"{OURS}x=abc", None),
        (f"note={OURS}", None),
        (OURS, ""),
        ("theme=dark", None),
        ("", None),
    ],
)
def test_the_session_is_found_among_other_cookies(given: str, expected: str | None) -> None:
    assert cookie_value(Headers({"host": "127.0.0.1:8000", "cookie": given})) == expected


def test_on_another_host_it_is_the_one_that_no_neighbour_can_plant() -> None:
    cookies = f"{OURS}=planted; __Host-{OURS}=ours"
    assert cookie_value(Headers({"host": "crm.acme.example", "cookie": cookies})) == "ours"


def test_nothing_is_unquoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def unquote(_text: str, *_rest: Any) -> NoReturn:
        raise AssertionError("this takes time by the square of what a stranger sends, before Python 3.11.10 and 3.12.6")

    monkeypatch.setattr(http.cookies, "_unquote", unquote)
    quoted = '"' + "\\\\" * 20 + '"'
    assert cookie_value(Headers({"host": "localhost", "cookie": f"other={quoted}; {OURS}={quoted}"})) == quoted
