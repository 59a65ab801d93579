"""A browser: keeps cookies, sends the header and the origin that our own page sends."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from tests.api.book import HEADERS, make_app
from tests.api.identity.company import ALL, Company, granted
from tests.api.listening import PATIENCE, Operator

ORIGIN = "http://localhost:8000"
OWN_PAGE = {"Daybook-CSRF": "1", "Origin": ORIGIN, "Accept": "application/graphql-response+json"}
EMAIL, PASSWORD, NEXT = "rosa@acme.example", "five blue bicycles", "seven green giraffes"

SIGN_IN = "mutation($i: SignInInput!) { signIn(input: $i) { staffMemberId userErrors { code } } }"
SIGN_OUT = "mutation { signOut { staffMemberId } }"
SIGN_OUT_EVERYWHERE = (
    "mutation($i: SignOutEverywhereInput!) { signOutEverywhere(input: $i) { staffMemberId userErrors { code } } }"
)
CHANGE = "mutation($i: PasswordChangeInput!) { passwordChange(input: $i) { userErrors { code path } } }"
RESET = "mutation($i: PasswordResetInput!) { passwordReset(input: $i) { staffMemberId userErrors { code path } } }"
ISSUE = (
    "mutation($i: PasswordResetIssueInput!)"
    " { passwordResetIssue(input: $i) { token expiresAt userErrors { code path } } }"
)
ASK = "{ customers(first: 1) { nodes { id } } }"


class Browser:
    """One browser."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def send(self, query: str, given: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        body = {"query": query, "variables": {"i": given}} if given is not None else {"query": query}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post("/graphql", json=body, headers={**OWN_PAGE, **more})

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> httpx.Response:
        return await self.send(SIGN_IN, {"email": email, "password": password})

    async def is_in(self) -> bool:
        answer = await self.send(ASK)
        assert answer.status_code in (200, 401), answer.text
        return answer.status_code == 200


def data(answer: httpx.Response, field: str) -> dict[str, Any]:
    body = answer.json()
    assert "errors" not in body, body
    found: dict[str, Any] = body["data"][field]
    return found


def codes(answer: httpx.Response, field: str) -> list[str]:
    return [error["code"] for error in data(answer, field)["userErrors"]]


def code(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    found: str = error["extensions"]["code"]
    return found


class House:
    """The running application, its people, and any number of browsers."""

    def __init__(self, app: Any, company: Company, database: str) -> None:
        self._app, self.company, self.database = app, company, database

    @asynccontextmanager
    async def browser(self, url: str = ORIGIN, client: str = "192.0.2.1") -> AsyncIterator[Browser]:
        transport = httpx.ASGITransport(self._app, client=(client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=url, timeout=30) as http:
            yield Browser(http)

    async def operator(self, query: str, given: dict[str, Any]) -> httpx.Response:
        async with self.browser() as browser:
            return await browser.send(query, given, Authorization=HEADERS["Authorization"])

    async def reset_token(self, staff_member: str) -> str:
        issued = data(await self.operator(ISSUE, {"staffMember": staff_member}), "passwordResetIssue")
        assert issued["userErrors"] == []
        token: str = issued["token"]
        return token

    def sql(self, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as db:
            done = db.execute(statement, values)
            return done.fetchall() if done.description else []


@asynccontextmanager
async def house(database: str, directory: Path, **options: Any) -> AsyncIterator[House]:
    app = make_app(database, directory, **options)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as http,
    ):
        yield House(app, Company(http), database)


async def asked_by_somebody(http: httpx.AsyncClient, query: str, given: dict[str, Any]) -> dict[str, Any]:
    """What somebody is answered who was just hired and may do everything, and who signs in beside the operator."""
    company, email = Company(http), f"{uuid4().hex}@acme.example"
    issued = await company.ask(ISSUE, {"i": {"staffMember": await company.hire(email)}})
    found = dict[str, Any]()
    for document, said in (
        (RESET, {"token": issued["passwordResetIssue"]["token"], "password": PASSWORD}),
        (SIGN_IN, {"email": email, "password": PASSWORD}),
        (query, given),
    ):
        body = {"query": document, "variables": {"i": said}}
        request = http.build_request("POST", "/graphql", json=body, headers=OWN_PAGE)
        request.headers.pop("Authorization", None)  # the client's own
        answer = (await http.send(request)).json()
        assert "errors" not in answer, answer
        found = answer["data"]
    http.cookies.clear()
    return found


@contextmanager
def somebody(operator: Operator) -> Iterator[httpx.Client]:
    """The browser of somebody who was just hired and may do everything, at a server that listens."""
    email = f"{uuid4().hex}@acme.example"
    id = operator.mutate("staffMemberRegister", "staffMember { id }", name=email, email=email)["staffMember"]["id"]
    role = operator.mutate("roleDefine", "role { id }", name=f"Role of {email}", grants=granted(ALL))["role"]["id"]
    operator.mutate("staffMemberGrantRole", id=id, role=role)
    with signed_in(operator, id, email) as http:
        yield http


@contextmanager
def signed_in(operator: Operator, id: str, email: str) -> Iterator[httpx.Client]:
    """The browser of somebody who has just made a password and signed in, at a server that listens."""
    token = operator.post(ISSUE, {"i": {"staffMember": id}})["passwordResetIssue"]["token"]
    headers = {**OWN_PAGE, "Origin": operator.origin}
    with httpx.Client(base_url=operator.origin, headers=headers, timeout=PATIENCE) as http:
        for query, given in (
            (RESET, {"token": token, "password": PASSWORD}),
            (SIGN_IN, {"email": email, "password": PASSWORD}),
        ):
            answer = http.post("/graphql", json={"query": query, "variables": {"i": given}}).json()
            assert "errors" not in answer, answer
        yield http
