"""The keys that the identity provider signs with, by key id and algorithm."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec
from jwt import PyJWK, PyJWTError

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""All that is ever accepted: signatures with a public key, none with a shared secret, and never `none`."""
_OF_KIND = {"RSA": ("RS256", "PS256"), "EC": ("ES256",), "OKP": ("EdDSA",)}
MOST_KEYS = 100
MOST_REMEMBERED = 10_000


class Verified(msgspec.Struct, frozen=True):
    """What a token says, once its signature and claims were found good."""

    email: str | None
    """Of the person, normalised, where the provider has verified that it is theirs."""
    until: float
    """When it expires, in seconds of the epoch."""


class Keys:
    """One set of keys, and what was verified with it: with another set, all is verified anew."""

    def __init__(self, keys: Iterable[object] = ()) -> None:
        self._keys: dict[tuple[str, str], PyJWK] = {}
        self.remembered: OrderedDict[bytes, Verified] = OrderedDict()
        """By SHA-256 of the token."""
        for key in list(keys)[:MOST_KEYS]:
            if isinstance(key, dict):
                self._add(cast("dict[str, Any]", key))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def of(self, kid: str, algorithm: str) -> PyJWK | None:
        """The key of this id for this algorithm: a token can't have one used with another algorithm than its own."""
        return self._keys.get((kid, algorithm))

    def knows(self, kid: str) -> bool:
        return any(known == kid for known, _ in self._keys)

    def remember(self, hash: bytes, verified: Verified) -> None:  # noqa: A002
        self.remembered[hash] = verified
        if len(self.remembered) > MOST_REMEMBERED:
            self.remembered.popitem(last=False)

    def _add(self, key: Mapping[str, Any]) -> None:
        kid, own = key.get("kid"), key.get("alg")
        if not isinstance(kid, str) or key.get("use", "sig") != "sig" or "d" in key:
            return
        for algorithm in _OF_KIND.get(str(key.get("kty")), ()):
            if own in (None, algorithm):
                try:
                    self._keys.setdefault((kid, algorithm), PyJWK(dict(key), algorithm))
                except PyJWTError:
                    continue  # a curve, or a kind of key, that we do not take
