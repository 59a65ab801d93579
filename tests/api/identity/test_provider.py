"""Tokens of the identity provider: the good ones let in, and every attack on them is refused."""

import asyncio
import base64
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from graphql import GraphQLError
from starlette.responses import JSONResponse, Response

from api.errors import RequestError
from api.identity import fetching, provider
from api.identity.fetching import is_safe
from api.identity.provider import MOST_CHARACTERS, SKEW, Provider
from tests.api.identity.issuer import AUDIENCE, Issuer, issuing, part, pem, published, rsa_key

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "PAUSE", 0.0)


async def refused(verifier: Provider, token: str, code: str = "UNAUTHENTICATED") -> str:
    with pytest.raises(RequestError) as caught:
        await verifier.verified(token)
    error: GraphQLError = caught.value
    assert (error.extensions or {})["code"] == code, error.message
    assert token not in error.message
    return error.message


async def test_a_good_token_says_whose_it_is_and_until_when(issuer: Issuer) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    expires = int(time.time()) + 300
    found = await verifier.verified(issuer.token(exp=expires))
    assert (found.email, found.until) == ("rosa@acme.example", expires + SKEW)
    assert (await verifier.verified(issuer.token(aud=["other", AUDIENCE]))).email == "rosa@acme.example"
    assert issuer.asked == 1, "the keys are fetched once"


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_address_that_is_not_verified_is_nobodys(issuer: Issuer, verified: object) -> None:
    found = await Provider(issuer.address, AUDIENCE).verified(issuer.token(email_verified=verified))
    assert found.email is None


async def test_each_algorithm_with_a_key_of_its_kind(issuer: Issuer) -> None:
    issuer.keys |= {"curve": ec.generate_private_key(ec.SECP256R1()), "edwards": ed25519.Ed25519PrivateKey.generate()}
    verifier = Provider(issuer.address, AUDIENCE)
    for kid, alg in (("first", "RS256"), ("first", "PS256"), ("curve", "ES256"), ("edwards", "EdDSA")):
        assert (await verifier.verified(issuer.token(kid=kid, alg=alg))).email == "rosa@acme.example", alg
    for kid, alg in (("first", "RS384"), ("first", "RS512"), ("first", "PS512")):
        await refused(verifier, issuer.token(kid=kid, alg=alg))


async def test_what_was_made_for_another_or_by_another_is_refused(issuer: Issuer) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    assert "audience" in await refused(verifier, issuer.token(aud="another-application"))
    await refused(verifier, issuer.token(aud=[]))
    await refused(verifier, issuer.token(aud=None))
    assert "issuer" in await refused(verifier, issuer.token(iss="https://login.example.com"))
    await refused(verifier, issuer.token(iss=issuer.address + "/"))
    await refused(verifier, issuer.token(iss=None))


async def test_a_token_without_a_signature_is_refused(issuer: Issuer) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    for alg in ("none", "None", "NONE", "nOnE", ""):
        await refused(verifier, issuer.forged({"alg": alg, "kid": "first", "typ": "JWT"}, None))
    header, claims, _ = issuer.token().split(".")
    await refused(verifier, f"{header}.{claims}.")


async def test_the_public_key_is_no_shared_secret(issuer: Issuer) -> None:
    verifier, key = Provider(issuer.address, AUDIENCE), issuer.keys["first"]
    for secret in (pem(key), pem(key).strip(), str(published("first", key)["n"]).encode()):
        for alg in ("HS256", "RS256"):
            await refused(verifier, issuer.forged({"alg": alg, "kid": "first"}, secret))


async def test_a_shared_secret_among_the_keys_is_not_used(issuer: Issuer) -> None:
    secret = b"a secret that a careless provider has published"
    oct_key = {"kty": "oct", "kid": "shared", "k": "YSBzZWNyZXQgdGhhdCBhIGNhcmVsZXNzIHByb3ZpZGVyIGhhcyBwdWJsaXNoZWQ"}
    issuer.listed = [oct_key, published("first", issuer.keys["first"])]
    verifier = Provider(issuer.address, AUDIENCE)
    await refused(verifier, issuer.forged({"alg": "HS256", "kid": "shared"}, secret))
    assert (await verifier.verified(issuer.token())).email


async def test_a_key_is_used_for_its_own_algorithm_and_for_signatures_only(issuer: Issuer) -> None:
    issuer.listed = [
        published("first", issuer.keys["first"], alg="RS256"),
        published("secret", issuer.keys["first"], use="enc"),
    ]
    verifier = Provider(issuer.address, AUDIENCE)
    assert (await verifier.verified(issuer.token())).email
    await refused(verifier, issuer.token(alg="PS256"))
    await refused(verifier, issuer.token(kid="secret", key=issuer.keys["first"]))


async def test_a_short_key_is_refused(issuer: Issuer) -> None:
    issuer.keys["short"] = rsa_key(1024)
    with pytest.warns(match="minimum recommended"):
        token = issuer.token(kid="short")
    await refused(Provider(issuer.address, AUDIENCE), token)


async def test_a_token_names_the_key_that_it_was_signed_with(issuer: Issuer) -> None:
    issuer.keys["second"] = rsa_key()
    verifier = Provider(issuer.address, AUDIENCE)
    await refused(verifier, issuer.token(kid=None))
    await refused(verifier, issuer.token(kid="unknown", key=issuer.keys["first"]))
    await refused(verifier, issuer.token(kid="second", key=issuer.keys["first"]))
    await refused(verifier, issuer.token(kid="first", key=rsa_key()))
    # Keys that a token brings along, or says where to find, are anybody's.
    own = rsa_key()
    for header in (
        {"jwk": published("own", own)},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example"},
    ):
        await refused(verifier, issuer.forged({"alg": "RS256", "kid": "own", **header}, b"x"))
    await refused(verifier, issuer.forged({"alg": "RS256", "kid": ["first"]}, b"x"))
    await refused(verifier, issuer.forged({"alg": ["RS256"], "kid": "first"}, b"x"))


async def test_what_was_changed_after_signing_is_refused(issuer: Issuer) -> None:
    header, _, signature = issuer.token().split(".")
    other = part(issuer.claims(email="boss@acme.example"))
    await refused(Provider(issuer.address, AUDIENCE), f"{header}.{other}.{signature}")


async def test_expired_not_yet_valid_and_the_clocks_that_differ(issuer: Issuer) -> None:
    verifier, now = Provider(issuer.address, AUDIENCE), int(time.time())
    assert "expired" in await refused(verifier, issuer.token(exp=now - SKEW - 1))
    assert "not valid yet" in await refused(verifier, issuer.token(nbf=now + SKEW + 30))
    await refused(verifier, issuer.token(iat=now + SKEW + 30))
    await refused(verifier, issuer.token(exp=None))
    odds: tuple[object, ...] = ("soon", [], 1e400, float("nan"), -1)
    for odd in odds:
        await refused(verifier, issuer.token(exp=odd))
    assert (await verifier.verified(issuer.token(exp=now - SKEW + 20))).until > now
    assert (await verifier.verified(issuer.token(nbf=now + SKEW - 20))).email


async def test_what_is_remembered_expires_all_the_same(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, token = Provider(issuer.address, AUDIENCE), issuer.token()
    found = await verifier.verified(token)
    monkeypatch.setattr("jwt.decode", lambda *_, **__: pytest.fail("it was verified a second time"))
    assert await verifier.verified(token) == found
    monkeypatch.setattr(time, "time", lambda: found.until + 1)
    assert "expired" in await refused(verifier, token)


async def test_no_text_brings_it_down(issuer: Issuer) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    assert "characters" in await refused(verifier, issuer.token(much="x" * MOST_CHARACTERS))
    good = issuer.token().split(".")
    nested = "[" * 3_000
    for token in (
        "..", "a.b.c", ".".join(["", *good[1:]]), f"{good[0]}..{good[2]}", f"{good[0]}.{part([])}.{good[2]}",
        "\udc80.\udc80.\udc80", "ä.ö.ü", f"{part({'alg': 'RS256', 'kid': 'first'})}.{nested}.x", "\x00.\x00.\x00",
    ):  # fmt: skip
        await refused(verifier, token)

    deep = base64.urlsafe_b64encode(nested.encode()).rstrip(b"=").decode()
    await refused(verifier, f"{deep}.{deep}.x")


@pytest.mark.usefixtures("no_pause")
async def test_a_new_key_is_fetched_when_a_token_names_it_and_an_old_one_is_forgotten(issuer: Issuer) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    old = issuer.token()
    await verifier.verified(old)
    issuer.keys = {"second": rsa_key()}
    assert (await verifier.verified(issuer.token(kid="second"))).email
    assert issuer.asked == 2
    await refused(verifier, old)


@pytest.mark.usefixtures("no_pause")
async def test_a_key_that_was_withdrawn_is_used_no_more_once_the_keys_are_old(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By nobody: not by the first who comes then, nor by those who come with them, verified before or not."""
    verifier = Provider(issuer.address, AUDIENCE)
    known, unknown = issuer.token(), issuer.token(jti="not verified yet")
    await verifier.verified(known)
    issuer.keys = {"second": rsa_key()}
    assert (await verifier.verified(known)).email
    monkeypatch.setattr(provider, "FRESH", 0.0)
    await asyncio.gather(*(refused(verifier, token) for token in (known, unknown) * 3))
    assert issuer.asked <= 3, "once for all of them, and once because their key is unknown now"


async def test_whoever_leaves_does_not_call_off_the_fetch(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else somebody who comes and leaves again and again would keep a withdrawn key in use."""
    verifier, token = Provider(issuer.address, AUDIENCE), issuer.token()
    await verifier.verified(token)
    issuer.keys = {"second": rsa_key()}
    monkeypatch.setattr(provider, "FRESH", 0.0)
    monkeypatch.setattr(provider, "PAUSE", 0.0)
    issuer.answers.clear()
    leaving = asyncio.create_task(verifier.verified(token))
    assert await asyncio.to_thread(issuer.waiting.wait, 20)
    monkeypatch.setattr(provider, "PAUSE", 600.0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    issuer.answers.set()
    await refused(verifier, token)
    assert issuer.asked == 2


@pytest.mark.usefixtures("no_pause")
async def test_keys_of_a_provider_that_stays_away_are_used_for_an_hour_at_most(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier, token = Provider(issuer.address, AUDIENCE), issuer.token()
    await verifier.verified(token)
    issuer.answer = Response(status_code=503)
    monkeypatch.setattr(provider, "FRESH", 0.0)
    assert (await verifier.verified(token)).email
    monkeypatch.setattr(provider, "KEPT", 0.0)
    await refused(verifier, token, "UNAVAILABLE")
    await refused(verifier, issuer.token(jti="another"), "UNAVAILABLE")
    issuer.answer = None
    monkeypatch.setattr(provider, "KEPT", 3_600.0)
    assert (await verifier.verified(token)).email
    await verifier.aclose()


async def test_unknown_keys_do_not_make_us_ask_again_and_again(issuer: Issuer) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    await verifier.verified(issuer.token())
    for at in range(20):
        await refused(verifier, issuer.token(kid=f"unknown-{at}", key=issuer.keys["first"]))
    assert issuer.asked == 1


@pytest.mark.usefixtures("no_pause")
async def test_while_the_provider_is_down_the_keys_go_on_being_used(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = Provider(issuer.address, AUDIENCE)
    issuer.answer = Response(status_code=503)
    await refused(verifier, issuer.token(), "UNAVAILABLE")
    issuer.answer = None
    assert (await verifier.verified(issuer.token())).email
    issuer.answer = Response(status_code=503)
    monkeypatch.setattr(provider, "FRESH", 0.0)
    assert (await verifier.verified(issuer.token(jti="another"))).email
    await refused(verifier, issuer.token(kid="new", key=rsa_key()))
    assert (await verifier.verified(issuer.token(jti="a third"))).email
    await verifier.aclose()


@pytest.mark.usefixtures("no_pause")
async def test_what_a_provider_must_not_say(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, good = Provider(issuer.address, AUDIENCE), issuer.document
    for document in (
        {**good, "issuer": "https://login.example.com"},
        {**good, "jwks_uri": "http://keys.example.com/keys"},
        {**good, "jwks_uri": "file:///etc/passwd"},
        {**good, "jwks_uri": f"{issuer.address}/elsewhere"},
        {**good, "jwks_uri": 5},
        {"issuer": issuer.address},
    ):
        issuer.document = document
        await refused(verifier, issuer.token(), "UNAVAILABLE")
    issuer.document = good
    lists: tuple[list[object], ...] = ([], [5], [{}], [{"kty": "RSA", "kid": "first", "n": "!", "e": "AQAB"}])
    for listed in lists:
        issuer.listed = listed
        await refused(verifier, issuer.token(), "UNAVAILABLE")
    issuer.listed = None
    for answer in (JSONResponse([]), Response("<html>"), Response(b'{"issuer":' + b"[" * 100_000)):
        issuer.answer = answer
        await refused(verifier, issuer.token(), "UNAVAILABLE")
    issuer.answer = None
    monkeypatch.setattr(fetching, "MOST_BYTES", 20)
    await refused(verifier, issuer.token(), "UNAVAILABLE")


def test_only_https_or_this_machine_is_asked() -> None:
    for url in ("https://login.example.com/realm", "http://localhost:8080", "http://127.0.0.1/x", "http://[::1]:80/"):
        assert is_safe(url), url
    for url in (
        "http://login.example.com", "file:///etc/passwd", "ftp://localhost/", "https://", "localhost", "",
        "http://localhost.example.com/", "http://127.0.0.1@example.com/", "https://user@example.com/",
        "http://127.0.0.1:80@example.com/", "HTTP://example.com",
    ):  # fmt: skip
        assert not is_safe(url), url
