"""Signing in with a password, what ends a session, and who tries to get at one."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from psycopg import AsyncConnection

from api.identity import passwords, throttle, upkeep
from domain.kernel.permissions import Permission, Scope
from tests.api.book import HEADERS
from tests.api.identity.signing_in import (
    ASK,
    CHANGE,
    EMAIL,
    ISSUE,
    NEXT,
    ORIGIN,
    OWN_PAGE,
    PASSWORD,
    RESET,
    SIGN_IN,
    SIGN_OUT,
    SIGN_OUT_EVERYWHERE,
    House,
    code,
    codes,
    data,
    house,
)
from tests.api.test_live import counted

pytestmark = pytest.mark.anyio


@pytest.fixture
async def acme(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(upkeep, "WRITE", 0.1)
    async with house(database, tmp_path) as running:
        yield running


async def rosa(acme: House) -> str:
    """Has a password; her id."""
    id = await acme.company.hire(EMAIL)
    token = await acme.reset_token(id)
    async with acme.browser() as browser:
        assert codes(await browser.send(RESET, {"token": token, "password": PASSWORD}), "passwordReset") == []
    return id


async def test_a_password_is_set_with_a_token_and_lets_in(acme: House) -> None:
    id = await rosa(acme)
    async with acme.browser() as browser, acme.browser() as other:
        assert not await browser.is_in()
        assert data(await browser.sign_in(" Rosa@ACME.example ".strip()), "signIn") == {
            "staffMemberId": id,
            "userErrors": [],
        }
        assert await browser.is_in()
        assert not await other.is_in()
        assert data(await browser.send(SIGN_OUT), "signOut") == {"staffMemberId": id}
        assert not browser.http.cookies
        assert not await browser.is_in()
    assert [what for (what,) in acme.sql("SELECT what FROM daybook_access.journal ORDER BY id")] == [
        "reset issued", "password reset", "signed in",
    ]  # fmt: skip


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(acme: House) -> None:
    await rosa(acme)
    async with acme.browser("https://testserver") as browser:
        refused = await browser.send(SIGN_IN, {"email": EMAIL, "password": PASSWORD}, Origin="https://testserver")
        assert refused.status_code == 421
    for url, name, secure in ((ORIGIN, "daybook-session", False), ("http://[::1]:9000", "daybook-session", False)):
        async with acme.browser(url) as browser:
            answer = await browser.send(SIGN_IN, {"email": EMAIL, "password": PASSWORD}, Origin=url)
            (cookie,) = answer.headers.get_list("set-cookie")
            said, *attributes = cookie.split("; ")
            assert said.startswith(f"{name}=")
            assert len(said.partition("=")[2]) == 43, "256 bits"
            assert set(attributes) >= {"HttpOnly", "SameSite=Strict", "Path=/"}
            assert ("Secure" in attributes) is secure
            assert not any(one.startswith("Domain") for one in attributes)


async def test_beyond_loopback_the_cookie_is_bound_to_https_and_to_the_host(database: str, tmp_path: Path) -> None:
    url = "https://crm.acme.example"
    async with house(database, tmp_path, hosts=["crm.acme.example"]) as acme:
        await rosa(acme)
        async with acme.browser(url) as browser:
            answer = await browser.send(SIGN_IN, {"email": EMAIL, "password": PASSWORD}, Origin=url)
            (cookie,) = answer.headers.get_list("set-cookie")
            assert cookie.startswith("__Host-daybook-session=")
            assert set(cookie.split("; ")[1:]) >= {"HttpOnly", "SameSite=Strict", "Path=/", "Secure"}
            assert (await browser.send(ASK, Origin=url)).status_code == 200
            plain = {"Cookie": f"daybook-session={browser.http.cookies['__Host-daybook-session']}"}
        async with acme.browser(url) as other:
            other.http.headers.update(plain)
            assert (await other.send(ASK, Origin=url)).status_code == 401, "another name could be planted"
            http = await other.send(SIGN_IN, {"email": EMAIL, "password": PASSWORD}, Origin="http://crm.acme.example")
            assert (http.status_code, code(http)) == (403, "FORBIDDEN")


async def test_what_is_stored_opens_nothing(acme: House) -> None:
    id = await rosa(acme)
    token = await acme.reset_token(id)
    async with acme.browser() as browser:
        await browser.sign_in()
        secrets = [PASSWORD, token, browser.http.cookies["daybook-session"]]
    stored = str([
        acme.sql(f"SELECT t::text FROM daybook_access.{table} AS t")
        for table in ("passwords", "sessions", "resets", "attempts", "journal")
    ])  # fmt: skip
    assert "argon2id$v=19$m=19456,t=2,p=1$" in stored
    assert not [secret for secret in secrets if secret in stored or secret.encode().hex() in stored]
    assert EMAIL not in stored
    assert EMAIL.encode().hex() not in stored


async def test_a_session_begins_anew_with_each_signing_in(acme: House) -> None:
    await rosa(acme)
    async with acme.browser() as browser, acme.browser() as thief:
        planted = "A" * 43
        browser.http.cookies.set("daybook-session", planted, domain="localhost.local")
        browser.http.headers["Cookie"] = f"daybook-session={planted}"
        answer = await browser.sign_in()
        assert codes(answer, "signIn") == []
        first = answer.cookies["daybook-session"]
        assert first != planted
        thief.http.headers["Cookie"] = f"daybook-session={planted}"
        assert not await thief.is_in(), "what was planted before is not what counts after"
        browser.http.headers["Cookie"] = f"daybook-session={first}"
        second = (await browser.sign_in()).cookies["daybook-session"]
        assert second != first
        thief.http.headers["Cookie"] = f"daybook-session={first}"
        assert not await thief.is_in(), "who signs in again ends the former session of this browser"


async def test_wrong_passwords_and_unknown_accounts_are_answered_alike(
    acme: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rosa(acme)
    await acme.company.hire("new@acme.example")
    verified: list[str] = []
    original = passwords.verify

    def verify(stored: str, password: bytes) -> bool:
        verified.append(stored)
        return original(stored, password)

    monkeypatch.setattr(passwords, "verify", verify)
    statements = counted(monkeypatch, AsyncConnection, "execute")
    cost = passwords.NOBODYS.rpartition("$")[0].rpartition("$")[0]
    async with acme.browser() as browser:
        for email in (EMAIL, "new@acme.example", "nobody@acme.example", "no address", "", "x\x00y", "\ud800@x.example"):
            statements.clear()
            if email.isprintable() and "\ud800" not in email:
                answer = await browser.sign_in(email, "not the right one")
            else:
                body = json.dumps(
                    {"query": SIGN_IN, "variables": {"i": {"email": email, "password": "not the right one"}}}
                )
                answer = await browser.http.post(
                    "/graphql", content=body, headers={**OWN_PAGE, "Content-Type": "application/json"}
                )
                if answer.status_code == 400 or answer.status_code == 401:
                    continue  # no JSON that can be read
            assert data(answer, "signIn") == {"staffMemberId": None, "userErrors": [{"code": "SIGN_IN_REFUSED"}]}
            assert "set-cookie" not in answer.headers
            assert verified.pop().startswith(cost), "as much work for each"
            assert verified == []
            looked_up = [one for one in statements if "daybook_access.passwords" in str(one)]
            assert len(looked_up) == 1, "and as many look-ups"


async def test_brute_force_is_slowed_down_on_the_account_wherever_it_comes_from(acme: House) -> None:
    await rosa(acme)
    for at in range(throttle.FREE_BY_ACCOUNT):
        async with acme.browser(client=f"192.0.2.{10 + at}") as browser:
            assert codes(await browser.sign_in(password=f"guess number {at}"), "signIn") == ["SIGN_IN_REFUSED"]
    async with acme.browser(client="198.51.100.7") as browser:
        answer = await browser.sign_in()
        assert code(answer) == "THROTTLED", "the right one too: else it would be told apart"
        seconds = answer.json()["errors"][0]["extensions"]["retryAfter"]
        assert 1 <= seconds <= 2
        assert answer.json()["data"] == {"signIn": None}
        assert (answer.status_code, answer.headers["Retry-After"]) == (200, str(seconds))
        other = await browser.sign_in("nobody@acme.example", "whatever it may be")
        assert codes(other, "signIn") == ["SIGN_IN_REFUSED"], "others are let alone"
        acme.sql("UPDATE daybook_access.attempts SET next_at = now() - interval '1 second'")
        assert codes(await browser.sign_in(password="one more guess"), "signIn") == ["SIGN_IN_REFUSED"]
        waits = acme.sql("SELECT round(max(extract(epoch FROM next_at - last_at))) FROM daybook_access.attempts")
        assert waits == [(2,)], "it doubles"
        acme.sql("UPDATE daybook_access.attempts SET next_at = now() - interval '1 second', failures = failures + 99")
        assert codes(await browser.sign_in(password="one more guess"), "signIn") == ["SIGN_IN_REFUSED"]
        assert acme.sql("SELECT round(max(extract(epoch FROM next_at - last_at))) FROM daybook_access.attempts") == [
            (900,)
        ]
        acme.sql("UPDATE daybook_access.attempts SET next_at = now() - interval '1 second'")
        assert codes(await browser.sign_in(), "signIn") == []
    async with acme.browser(client="203.0.113.5") as browser:
        for at in range(throttle.FREE_BY_ACCOUNT):
            assert codes(await browser.sign_in(password=f"guess number {at}"), "signIn") == ["SIGN_IN_REFUSED"]


async def test_brute_force_is_slowed_down_by_address_whatever_the_account(acme: House) -> None:
    for at in range(throttle.FREE_BY_ADDRESS):
        async with acme.browser(client=f"2001:db8:0:7::{at:x}") as browser:
            assert codes(await browser.sign_in(f"a{at}@acme.example", "whatever it may be"), "signIn")
    async with acme.browser(client="2001:db8:0:7:ffff::1") as browser:
        assert code(await browser.sign_in("b@acme.example", "whatever it may be")) == "THROTTLED"
        reset = await browser.send(RESET, {"token": "x", "password": NEXT})
        assert code(reset) == "THROTTLED"
    async with acme.browser(client="2001:db8:0:8::1") as browser:
        assert codes(await browser.sign_in("b@acme.example", "whatever it may be"), "signIn") == ["SIGN_IN_REFUSED"]


async def test_a_one_time_token_clears_the_account_that_somebody_guessed_at(acme: House) -> None:
    id = await rosa(acme)
    async with acme.browser() as browser:
        for guessed in (EMAIL, "nobody@acme.example"):
            for at in range(throttle.FREE_BY_ACCOUNT):
                assert codes(await browser.sign_in(guessed, f"guess number {at}"), "signIn") == ["SIGN_IN_REFUSED"]
        # As if many had been made, so that nothing is let in by the passing of time.
        acme.sql("UPDATE daybook_access.attempts SET next_at = now() + interval '15 minutes' WHERE failures = 5")
        for throttled in (EMAIL, "Rosa@ACME.example", "nobody@acme.example"):
            assert code(await browser.sign_in(throttled)) == "THROTTLED"
        token = await acme.reset_token(id)
        assert code(await browser.sign_in()) == "THROTTLED", "a token that is only issued proves nothing"
        assert codes(await browser.send(RESET, {"token": token, "password": NEXT}), "passwordReset") == []
        assert codes(await browser.sign_in(password=NEXT), "signIn") == []
        assert code(await browser.sign_in("nobody@acme.example")) == "THROTTLED", "nobody else's is cleared"


async def test_guesses_at_the_old_password_and_at_signing_in_are_counted_together(acme: House) -> None:
    await rosa(acme)
    wrong = {"oldPassword": "not the right one", "password": NEXT}
    async with acme.browser() as browser, acme.browser(client="198.51.100.7") as stranger:
        await browser.sign_in()
        for _ in range(throttle.FREE_BY_ACCOUNT - 2):
            assert codes(await browser.send(CHANGE, wrong), "passwordChange") == ["PASSWORD_WRONG"]
        for _ in range(2):
            assert codes(await stranger.sign_in(password="not the right one"), "signIn") == ["SIGN_IN_REFUSED"]
        acme.sql("UPDATE daybook_access.attempts SET next_at = now() + interval '15 minutes' WHERE failures = 5")
        assert code(await stranger.sign_in()) == "THROTTLED"
        assert code(await browser.send(CHANGE, wrong)) == "THROTTLED"


async def test_many_guesses_at_once_count_as_many(acme: House) -> None:
    await rosa(acme)
    answers: list[str] = []

    async def guess(at: int) -> None:
        async with acme.browser(client=f"192.0.2.{10 + at}") as browser:
            body = (await browser.sign_in(password=f"guess number {at}")).json()
            answers.append("THROTTLED" if "errors" in body else "looked at")

    async with anyio.create_task_group() as group:
        for at in range(20):
            group.start_soon(guess, at)
    assert answers.count("looked at") == throttle.FREE_BY_ACCOUNT
    assert answers.count("THROTTLED") == 20 - throttle.FREE_BY_ACCOUNT


async def test_a_reset_token_is_good_once_for_an_hour_and_until_the_next(acme: House) -> None:
    id = await rosa(acme)
    first, second = await acme.reset_token(id), await acme.reset_token(id)
    async with acme.browser() as browser:
        refused = ["RESET_TOKEN_NOT_VALID"]
        assert codes(await browser.send(RESET, {"token": first, "password": NEXT}), "passwordReset") == refused
        assert codes(await browser.send(RESET, {"token": second, "password": "short"}), "passwordReset") == [
            "PASSWORD_TOO_SHORT"
        ]
        assert codes(await browser.send(RESET, {"token": second, "password": NEXT}), "passwordReset") == []
        assert codes(await browser.send(RESET, {"token": second, "password": PASSWORD}), "passwordReset") == refused
        assert codes(await browser.sign_in(), "signIn") == ["SIGN_IN_REFUSED"]
        assert codes(await browser.sign_in(password=NEXT), "signIn") == []
        third = await acme.reset_token(id)
        acme.sql("UPDATE daybook_access.resets SET expires_at = expires_at - interval '1 hour'")
        assert codes(await browser.send(RESET, {"token": third, "password": PASSWORD}), "passwordReset") == refused
        fourth = await acme.reset_token(id)
        await acme.company.deactivate(id)
        assert codes(await browser.send(RESET, {"token": fourth, "password": PASSWORD}), "passwordReset") == refused
        issued = data(await acme.operator(ISSUE, {"staffMember": id}), "passwordResetIssue")
        assert issued["userErrors"] == [{"code": "STAFF_MEMBER_NOT_ACTIVE", "path": ["staffMember"]}]


async def test_only_who_manages_access_makes_reset_tokens_or_signs_others_out(acme: House) -> None:
    id = await rosa(acme)
    await acme.company.grant(id, {Permission.READ_CUSTOMERS: Scope.OWN})
    async with acme.browser() as browser:
        await browser.sign_in()
        assert codes(await browser.send(ISSUE, {"staffMember": id}), "passwordResetIssue") == ["NOT_ALLOWED"]
        answer = await browser.send(SIGN_OUT_EVERYWHERE, {"staffMember": id})
        assert codes(answer, "signOutEverywhere") == ["NOT_ALLOWED"]
        assert await browser.is_in()
        assert codes(await acme.operator(SIGN_OUT_EVERYWHERE, {"staffMember": id}), "signOutEverywhere") == []
        assert not await browser.is_in()


@pytest.mark.parametrize("by", ["change", "reset", "everywhere", "deactivation"])
async def test_what_ends_every_session(acme: House, by: str) -> None:
    id = await rosa(acme)
    async with acme.browser() as one, acme.browser() as two:
        await one.sign_in()
        await two.sign_in()
        assert await one.is_in()
        assert await two.is_in()
        before = one.http.cookies["daybook-session"]
        if by == "change":
            answer = await one.send(CHANGE, {"oldPassword": PASSWORD, "password": NEXT})
            assert codes(answer, "passwordChange") == []
            assert one.http.cookies["daybook-session"] != before
            assert await one.is_in(), "the browser that changed it has a new session"
            one.http.cookies.clear()
            one.http.headers["Cookie"] = f"daybook-session={before}"
        elif by == "reset":
            token = await acme.reset_token(id)
            async with acme.browser() as third:
                assert codes(await third.send(RESET, {"token": token, "password": NEXT}), "passwordReset") == []
        elif by == "everywhere":
            assert codes(await one.send(SIGN_OUT_EVERYWHERE, {}), "signOutEverywhere") == []
        else:
            await acme.company.deactivate(id)
            assert not await one.is_in()
            await acme.company.reactivate(id)
            assert not await one.is_in()
            with anyio.fail_after(20):
                while acme.sql("SELECT 1 FROM daybook_access.sessions"):  # noqa: ASYNC110
                    await anyio.sleep(0.05)
            (entry,) = acme.sql(
                "SELECT actor, count(*) FROM daybook_access.journal WHERE what = 'deactivated' GROUP BY 1"
            )
            assert entry == ("daybook", 1)
        assert not await one.is_in()
        assert not await two.is_in()


async def test_the_password_in_force_is_needed_to_change_it(acme: House) -> None:
    await rosa(acme)
    async with acme.browser() as browser:
        await browser.sign_in()
        answer = await browser.send(CHANGE, {"oldPassword": "not the right one", "password": NEXT})
        assert data(answer, "passwordChange")["userErrors"] == [{"code": "PASSWORD_WRONG", "path": ["oldPassword"]}]
        for weak, expected in (
            ("short", "PASSWORD_TOO_SHORT"),
            ("ab" * 20, "PASSWORD_TOO_SIMPLE"),
            ("Rosa@Acme.Example", "PASSWORD_TOO_SIMPLE"),
            ("acme.example", "PASSWORD_TOO_SIMPLE"),
            ("x y z w v " * 30, "PASSWORD_TOO_LONG"),
        ):
            answer = await browser.send(CHANGE, {"oldPassword": PASSWORD, "password": weak})
            assert codes(answer, "passwordChange") == [expected]
        for _ in range(throttle.FREE_BY_ACCOUNT):
            answer = await browser.send(CHANGE, {"oldPassword": "not the right one", "password": NEXT})
        assert code(answer) == "THROTTLED", "who has stolen a session can't try passwords for ever"
        answer = await acme.operator(CHANGE, {"oldPassword": PASSWORD, "password": NEXT})
        assert codes(answer, "passwordChange") == ["NO_SESSION"]


async def test_sessions_end_by_themselves(acme: House) -> None:
    await rosa(acme)
    async with acme.browser() as browser:
        for column, age in (("used_at", "12 hours"), ("begun_at", "7 days")):
            await browser.sign_in()
            acme.sql(f"UPDATE daybook_access.sessions SET {column} = now() - interval '{age}' + interval '1 minute'")
            assert await browser.is_in()
            acme.sql(f"UPDATE daybook_access.sessions SET {column} = now() - interval '{age}'")
            assert not await browser.is_in()
        await browser.sign_in()
        acme.sql("UPDATE daybook_access.sessions SET used_at = now() - interval '2 minutes'")
        assert await browser.is_in()
        ages = acme.sql("SELECT now() - used_at < interval '1 minute' FROM daybook_access.sessions ORDER BY used_at")
        assert ages[-1] == (True,), "using it keeps it"


async def test_a_foreign_page_can_do_nothing_with_the_cookie(acme: House) -> None:
    await rosa(acme)
    async with acme.browser() as browser:
        await browser.sign_in()
        session = {"Cookie": f"daybook-session={browser.http.cookies['daybook-session']}"}
        browser.http.cookies.clear()
        ask, json_type = json.dumps({"query": ASK}), {"Content-Type": "application/json"}
        foreign = {"Origin": "https://evil.example"}
        csrf = {"Daybook-CSRF": "1"}

        async def status(method: str = "POST", **given: Any) -> int:
            headers = {**session, **given.pop("headers", {})}
            return (await browser.http.request(method, "/graphql", headers=headers, **given)).status_code

        # What a form can send: three content types, no header of its own.
        assert await status(content=ask, headers={"Content-Type": "text/plain", **foreign}) == 400
        assert await status(content=ask, headers={"Content-Type": "text/plain", **foreign, **csrf}) == 403
        assert await status(content=ask, headers={"Content-Type": "text/plain", **csrf}) == 415
        assert await status(data={"query": ASK}, headers=foreign) == 400
        assert await status(files={"query": ("q", ASK)}, headers=foreign) == 400
        assert await status("GET", params={"query": ASK}) == 400
        assert await status("GET", params={"query": ASK}, headers={"Sec-Fetch-Site": "cross-site", **csrf}) == 403
        # And what it could send if a preflight were answered.
        assert await status(content=ask, headers={**json_type, **foreign}) == 400
        for origin in (
            "https://evil.example",
            "null",
            "http://localhost",
            "https://localhost:8001",
            "http://localhost:8000.evil.example",
        ):
            assert await status(content=ask, headers={**json_type, **csrf, "Origin": origin}) == 403, origin
        assert await status(content=ask, headers={**json_type, **csrf, "Sec-Fetch-Site": "same-site"}) == 403
        preflight = await browser.http.options(
            "/graphql",
            headers={
                **foreign,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "daybook-csrf",
            },
        )
        assert not [name for name in preflight.headers if name.startswith("access-control-")]
        # Our own page, and a script of somebody's own.
        assert await status(content=ask, headers={**json_type, **csrf, "Origin": ORIGIN}) == 200
        assert await status(content=ask, headers={**json_type, **csrf}) == 200
        assert await status("GET", params={"query": ASK}, headers=csrf) == 200


async def test_a_foreign_page_signs_nobody_in(acme: House) -> None:
    await rosa(acme)
    async with acme.browser() as browser:
        given = {"email": EMAIL, "password": PASSWORD}
        answer = await browser.send(SIGN_IN, given, Origin="https://evil.example")
        assert (answer.status_code, code(answer)) == (403, "FORBIDDEN")
        body = {"query": SIGN_IN, "variables": {"i": given}}
        answer = await browser.http.post("/graphql", json=body)
        assert (answer.status_code, code(answer)) == (400, "CSRF_HEADER_MISSING")
        assert not browser.http.cookies


async def test_a_stranger_is_told_nothing_but_to_sign_in(acme: House) -> None:
    async with acme.browser() as browser:
        for query in (
            ASK,
            "{ __typename }",
            "{ __schema { types { name } } }",
            "{",
            "{ nothing }",
            SIGN_OUT,
            "mutation { customerRegister(input: {}) { position } }",
            "subscription { changes { position } }",
            SIGN_IN + " query B { __typename }",
            SIGN_IN[:-1] + "more: signIn(input: $i) { staffMemberId } }",
            "mutation { ...f } fragment f on Mutation { signIn(input: {}) { staffMemberId } }",
            "mutation { signIn: passwordResetIssue(input: {}) { token } }",
            "{" * 5_000,
            "mutation { signIn(input: " + "[" * 5_000,
            "mutation { signIn " + "{ a " * 200 + "}" * 200 + "}",
        ):
            answer = await browser.send(query, {"email": EMAIL, "password": PASSWORD})
            assert (answer.status_code, code(answer)) == (401, "UNAUTHENTICATED"), query[:60]
            assert answer.headers["www-authenticate"].startswith("Bearer")
        big = json.dumps({"query": SIGN_IN, "variables": {"i": {"email": "x" * 20_000, "password": ""}}})
        answer = await browser.http.post(
            "/graphql", content=big, headers={**OWN_PAGE, "Content-Type": "application/json"}
        )
        assert answer.status_code == 401


async def test_a_password_stands_in_no_log_and_in_no_error(acme: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await rosa(acme)
    secret = "quite a secret sentence"
    async with acme.browser() as browser:
        for given in (
            {"email": EMAIL},
            {"email": 5, "password": secret},
            {"password": secret},
            {"email": EMAIL, "password": [secret]},
            {"email": EMAIL, "password": secret, "more": 1},
            [secret],
            secret,
            {"email": EMAIL, "password": {"a": secret}},
        ):
            answer = await browser.send(SIGN_IN, given)  # type: ignore[arg-type]
            assert secret not in answer.text, given
        for query in (
            f'mutation {{ signIn(input: {{email: "{EMAIL}", password: "{secret}"}}) {{ staffMemberId }} }}',
            f'mutation($e: String!) {{ signIn(input: {{email: $e, password: """{secret}"""}}) {{ staffMemberId }} }}',
        ):
            answer = await browser.send(query)
            assert (answer.status_code, code(answer)) == (400, "BAD_REQUEST")
            assert secret not in answer.text
        assert codes(await browser.sign_in(password=secret), "signIn") == ["SIGN_IN_REFUSED"]
        await browser.sign_in()
        answer = await browser.send(CHANGE, {"oldPassword": secret, "password": secret[:5]})
        assert secret[:5] not in answer.text
    assert secret not in caplog.text
    assert PASSWORD not in caplog.text


async def test_somebody_without_a_role_is_known_and_can_only_sign_out(acme: House) -> None:
    await acme.company.grant(await rosa(acme), {})
    async with acme.browser() as browser:
        assert codes(await browser.sign_in(), "signIn") == []
        answer = await browser.send(ASK)
        assert (answer.status_code, code(answer)) == (403, "FORBIDDEN")
        assert codes(await browser.send(CHANGE, {"oldPassword": PASSWORD, "password": NEXT}), "passwordChange") == []
        assert data(await browser.send(SIGN_OUT), "signOut")["staffMemberId"]


async def test_the_operators_token_needs_no_header_and_no_origin(acme: House) -> None:
    async with acme.browser() as browser:
        answer = await browser.http.post(
            "/graphql", json={"query": ASK}, headers={**HEADERS, "Origin": "https://x.example"}
        )
        assert answer.status_code == 200
