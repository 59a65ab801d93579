"""People who work at a company: entered, given roles and signed in over HTTP, as an administrator does it."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import IO, Any, NamedTuple
from uuid import uuid4

import httpx

from benchmarks.server import daybook, serving

ADMINISTRATOR, REP_OF_1 = "an administrator", "a rep who owns 1 %"
REP_OF_50, MANAGER_OF_50 = "a rep who owns 50 %", "a manager whose team owns 50 %"
HIRED = {REP_OF_1: ("Sales rep", "East"), REP_OF_50: ("Sales rep", "East"), MANAGER_OF_50: ("Sales manager", "West")}
"""Which ready role they are granted, and which team they are in. A book begins with the administrator."""

_FIRST, _PASSWORD = "administrator@daybook.example", "five blue bicycles"
_RESET = "mutation Reset($i: PasswordResetInput!) { passwordReset(input: $i) { userErrors { code } } }"
_SIGN_IN = "mutation SignIn($i: SignInInput!) { signIn(input: $i) { staffMemberId userErrors { code } } }"
_ISSUE = "mutation Issue($i: PasswordResetIssueInput!) { passwordResetIssue(input: $i) { token userErrors { code } } }"
_ROLES = "{ roles(first: 50) { nodes { id name } } }"


class Person(NamedTuple):
    """Somebody who has signed in."""

    id: str
    team: str | None
    headers: Mapping[str, str]
    """What their browser sends with each request, for a Daybook on the same data: the cookie of their session too."""


def entered(environment: Mapping[str, str], log: IO[bytes]) -> dict[str, Person]:
    """Enter everybody into the empty book of this environment."""
    with serving(environment, log=log) as served, ExitStack() as stack:
        browsers = {who: _Browser(served.port, stack) for who in (ADMINISTRATOR, *HIRED)}
        administrator = browsers[ADMINISTRATOR]
        reset, _ = daybook("access", "reset", _FIRST, environment=environment, log=log).communicate()
        people = {ADMINISTRATOR: Person(administrator.sign_in(_FIRST, reset.strip()), None, administrator.headers)}
        roles = {role["name"]: role["id"] for role in administrator.ask(_ROLES)["roles"]["nodes"]}
        teams = {
            name: administrator.enter("team", "Create", name=name) for name in sorted({t for _, t in HIRED.values()})
        }
        for who, (role, team) in HIRED.items():
            email = f"{len(people)}@kestrel.example.com"
            id = administrator.enter("staffMember", "Register", name=who, email=email, team=teams[team])
            administrator.enter("staffMember", "GrantRole", id=id, role=roles[role], reason="Hired")
            token = administrator.ask(_ISSUE, staffMember=id)["passwordResetIssue"]["token"]
            browsers[who].sign_in(email, token)
            people[who] = Person(id, teams[team], browsers[who].headers)
    return people


class _Browser:
    """Keeps the cookie of whoever signs in with it."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        own_page = {"Origin": f"http://127.0.0.1:{port}", "Daybook-CSRF": "1"}
        self._http = stack.enter_context(httpx.Client(base_url=own_page["Origin"], headers=own_page, timeout=60))

    @property
    def headers(self) -> Mapping[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._http.cookies.items())
        return {"Cookie": cookies, "Daybook-CSRF": "1"}

    def ask(self, query: str, **given: object) -> dict[str, Any]:
        """The data of an answer; `given` is the input of a mutation. Raises RuntimeError where it was refused."""
        answer = self._http.post("/graphql", json={"query": query, "variables": {"i": given} if given else {}}).json()
        data: dict[str, Any] = answer.get("data") or {}
        if "errors" in answer or any(payload.get("userErrors") for payload in data.values()):
            raise RuntimeError(f"the server said {answer}")
        return data

    def enter(self, noun: str, verb: str, **given: object) -> str:
        """What the mutation of this name is about, by its id."""
        field = noun + verb
        query = (
            f"mutation Enter($i: {field[0].upper()}{field[1:]}Input!)"
            f" {{ {field}(input: $i) {{ {noun} {{ id }} userErrors {{ code path }} }} }}"
        )
        id: str = self.ask(query, idempotencyKey=str(uuid4()), **given)[field][noun]["id"]
        return id

    def sign_in(self, email: str, token: str) -> str:
        """Set a password with a one-time token, and sign in with it; who it is, by the id."""
        self.ask(_RESET, token=token, password=_PASSWORD)
        id: str = self.ask(_SIGN_IN, email=email, password=_PASSWORD)["signIn"]["staffMemberId"]
        return id
