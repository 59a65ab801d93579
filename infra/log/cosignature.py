"""Cosignatures (C2SP tlog-cosignature, version 1): a witness signs a checkpoint, and when it did so."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.log.note import PRIVATE, key_id, key_text, public_key, read_secret, signature_line

_COSIGNATURE = b"\x04"


class Cosigner:
    """A witness's private key and its name. Its text, which is secret, is `secret`."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`seed`: the 32 bytes of RFC 8032's private key."""
        self._key, self._seed, self._name = Ed25519PrivateKey.from_private_bytes(seed), seed, name
        self._public = _COSIGNATURE + public_key(seed)
        self._id = key_id(name, self._public)

    @classmethod
    def read(cls, text: str) -> "Cosigner":
        """From `PRIVATE+KEY+name+id+key`. Raises NoteError, which does not repeat the text."""
        return cls(*read_secret(text, _COSIGNATURE))

    @property
    def secret(self) -> str:
        return PRIVATE + key_text(self._name, self._id, _COSIGNATURE + self._seed)

    @property
    def verifier(self) -> str:
        """The public key, as `name+id+key`."""
        return key_text(self._name, self._id, self._public)

    def cosignature(self, text: str, at: int) -> str:
        """The line to put under a checkpoint of this text. `at`: now, in seconds since 1970-01-01 00:00 UTC."""
        signature = self._key.sign(f"cosignature/v1\ntime {at}\n{text}".encode())
        return signature_line(self._name, self._id, at.to_bytes(8, "big") + signature)
