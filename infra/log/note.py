"""Signed notes (C2SP signed-note) with Ed25519, and their keys as Go's `sumdb/note` writes them."""

import base64
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
PRIVATE = "PRIVATE+KEY+"
MOST_SIGNATURES = 100


class NoteError(Exception):
    """A note or a key that can't be used; the message says why."""


class Verifier(NamedTuple):
    """A public key and its name."""

    name: str
    key: bytes

    @classmethod
    def read(cls, text: str) -> "Verifier":
        """From `name+id+key`. Raises NoteError."""
        return cls(*read_key(text, _ED25519, lambda raw: raw))

    def __str__(self) -> str:
        return key_text(self.name, self.id, _ED25519 + self.key)

    @property
    def id(self) -> bytes:
        """The first 4 bytes of a hash, by which a signature says whose it is."""
        return key_id(self.name, _ED25519 + self.key)

    def verifies(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class Signer:
    """A private key and its name. Its text, which is secret, is `secret`."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`seed`: the 32 bytes of RFC 8032's private key."""
        self._key, self._seed = Ed25519PrivateKey.from_private_bytes(seed), seed
        self.verifier = Verifier(name, public_key(seed))

    @classmethod
    def read(cls, text: str) -> "Signer":
        """From `PRIVATE+KEY+name+id+key`. Raises NoteError, which does not repeat the text."""
        return cls(*read_secret(text, _ED25519))

    @property
    def secret(self) -> str:
        return PRIVATE + key_text(self.verifier.name, self.verifier.id, _ED25519 + self._seed)

    def signed(self, text: str) -> str:
        """A note of this text, which ends with a newline."""
        return f"{text}\n{signature_line(self.verifier.name, self.verifier.id, self._key.sign(text.encode()))}"


def signatures(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """A note's text, and its signatures: name, the key's id, signature. Raises NoteError where it is no note."""
    text, blank, rest = note.rpartition("\n\n")
    lines = rest.removesuffix("\n").split("\n")
    if not blank or not rest.endswith("\n") or len(lines) > MOST_SIGNATURES or any(c < " " and c != "\n" for c in note):
        raise NoteError("it is no signed note")
    found = list[tuple[str, bytes, bytes]]()
    for line in lines:
        try:
            dash, name, encoded = line.split(" ")
            signature = base64.b64decode(encoded, validate=True)
        except ValueError:
            dash, name, signature = "", "", b""
        if dash != "—" or not name or len(signature) <= 4:
            raise NoteError("it is no signed note: a signature is not one")
        found.append((name, signature[:4], signature[4:]))
    return text + "\n", found


def opened(note: str, verifiers: Iterable[Verifier]) -> str:
    """The text of a note that one of these has signed. Raises NoteError, also where one's signature is wrong."""
    known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    text, found = signatures(note)
    mine = [(known[name, id], signature) for name, id, signature in found if (name, id) in known]
    if not mine:
        others = ", ".join(f"{name}+{id.hex()}" for name, id, _ in found[:3])
        raise NoteError(f"it is signed by {others}, whose key is not here")
    for verifier, signature in mine:
        if not verifier.verifies(text, signature):
            raise NoteError(f"the signature of {verifier.name} is wrong")
    return text


def signature_line(name: str, id: bytes, signature: bytes) -> str:
    """As it stands under a note."""
    return f"— {name} {_base64(id + signature)}\n"


def key_id(name: str, key: bytes) -> bytes:
    """`key`: with its kind, one byte, before it."""
    return sha256(name.encode() + b"\n" + key).digest()[:4]


def key_text(name: str, id: bytes, key: bytes) -> str:
    return f"{name}+{id.hex()}+{_base64(key)}"


def read_key(text: str, kind: bytes, public: Callable[[bytes], bytes]) -> tuple[str, bytes]:
    """Name and key, without its kind, out of `name+id+key`. Raises NoteError.

    `public` makes the public key of it, which the id is checked with.
    """
    name, _, rest = text.partition("+")
    id, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if not name or any(c.isspace() for c in name) or len(raw) != 33:
        raise NoteError("it is no Ed25519 key as name+id+key")
    if raw[:1] != kind:
        raise NoteError("it is a key of another kind: that of a log where a witness's belongs, or the other way round")
    if key_id(name, kind + public(raw[1:])).hex() != id:
        raise NoteError("the key does not fit its id")
    return name, raw[1:]


def read_secret(text: str, kind: bytes) -> tuple[str, bytes]:
    """Name and seed out of `PRIVATE+KEY+name+id+key`. Raises NoteError, which does not repeat the text."""
    if not text.startswith(PRIVATE):
        raise NoteError("it does not begin with PRIVATE+KEY+")
    return read_key(text.removeprefix(PRIVATE), kind, public_key)


def public_key(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
