"""An identity provider: discovery and keys over real HTTP on loopback, and tokens signed as one likes."""

import base64
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jwt
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

AUDIENCE = "daybook-of-acme"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def published(kid: str, key: PrivateKey, **more: str) -> dict[str, Any]:
    """The public half, as a key set lists it."""
    match key:
        case rsa.RSAPrivateKey():
            text = RSAAlgorithm.to_jwk(key.public_key())
        case ec.EllipticCurvePrivateKey():
            text = ECAlgorithm.to_jwk(key.public_key())
        case _:
            text = OKPAlgorithm.to_jwk(key.public_key())
    return {**json.loads(text), "kid": kid, "use": "sig", **more}


def pem(key: PrivateKey) -> bytes:
    """The public half as a text that anybody can have: in key confusion it is taken for a shared secret."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class Issuer:
    """What the provider publishes, and how often it was asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.keys: dict[str, PrivateKey] = {"first": rsa_key()}
        self.listed: Sequence[object] | None = None
        """Instead of the keys that there are."""
        self.document: dict[str, Any] = {"issuer": address, "jwks_uri": f"{address}/keys"}
        self.answer: Response | None = None
        """Instead of everything."""
        self.asked = 0
        self.answers = threading.Event()
        """Clear: whoever asks for keys waits, and sets `waiting`."""
        self.answers.set()
        self.waiting = threading.Event()

    def discovery(self, _request: Request) -> Response:
        return self.answer or JSONResponse(self.document)

    def key_set(self, _request: Request) -> Response:
        self.asked += 1
        if not self.answers.is_set():
            self.waiting.set()
            assert self.answers.wait(20)
        own = [published(kid, key) for kid, key in self.keys.items()]
        return self.answer or JSONResponse({"keys": own if self.listed is None else self.listed})

    def elsewhere(self, _request: Request) -> Response:
        return RedirectResponse(f"{self.address}/keys")

    def claims(self, **other: Any) -> dict[str, Any]:
        now = int(time.time())
        given = {
            "iss": self.address, "aud": AUDIENCE, "sub": "42", "iat": now, "exp": now + 300,
            "email": "rosa@acme.example", "email_verified": True, **other,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    def token(
        self, *, kid: str | None = "first", key: PrivateKey | None = None, alg: str = "RS256", **claims: Any
    ) -> str:
        """A signed token; a claim that is None is left out."""
        signing = key or self.keys[kid or "first"]
        return jwt.encode(self.claims(**claims), signing, alg, headers={"kid": kid} if kid else {})

    def forged(self, header: dict[str, Any], secret: bytes | None) -> str:
        """A token put together by hand: without a signature, or with a shared secret."""
        said = f"{part(header)}.{part(self.claims())}"
        mac = b"" if secret is None else hmac.digest(secret, said.encode(), "sha256")
        return f"{said}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@contextmanager
def issuing() -> Iterator[Issuer]:
    """A provider that answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        issuer = Issuer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        routes = [
            Route("/.well-known/openid-configuration", issuer.discovery),
            Route("/keys", issuer.key_set),
            Route("/elsewhere", issuer.elsewhere),
        ]
        server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
