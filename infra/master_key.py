"""The master key: 32 random bytes in a file of their own, which wrap every other key. Without it nothing opens.

It can be rotated (infra/rotation.py): each that there ever was has a number, its epoch. A line of the file is a key:

    daybook-master-key-1:<base64>                of epoch 1
    daybook-master-key-2:<epoch>:<base64>        of any other

A wrapped key says by which it was wrapped: 4 bytes of the epoch, most significant first, stand before it; before a
single key of epoch 1 nothing does. Several generations of a key are wrapped as one (infra/generations.py).
"""

import base64
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.kernel.randomness import random_bytes
from infra.private_files import PrivateFileError, is_there, kept, secret, supersede

Keys: TypeAlias = dict[int, bytes]
"""Master keys by epoch: one, or two while they are rotated."""

_LINE = re.compile(r"daybook-master-key-(?:1|2:(?P<epoch>[1-9][0-9]{0,8})):(?P<key>[A-Za-z0-9+/]{43}=)")
_BARE = 60
"""Bytes of a wrapped key: nonce, key and tag. Only a key of epoch 1 has so few."""


class MasterKeyError(Exception):
    """The master key is missing, unreadable or another book's; the message says what to do."""


class EpochUnknown(MasterKeyError):
    """A key is wrapped under a master key that the file does not hold."""


class MasterKey:
    """Wraps and unwraps keys: AES-256-GCM under the master key, bound to what the wrapped key is for. Thread-safe."""

    def __init__(self, read: Callable[[], Keys]) -> None:
        """`read`: the keys as they are now; called again where a wrapped key names an epoch that is not among them."""
        self._read = read
        self._ciphers = self._ciphers_now()

    def wrap(self, key: bytes, purpose: bytes, epoch: int) -> bytes:
        """Raises EpochUnknown where there is no such master key."""
        nonce = random_bytes(12)
        prefix = b"" if epoch == 1 and len(key) == 32 else epoch.to_bytes(4, "big")
        return prefix + nonce + self._cipher(epoch).encrypt(nonce, key, purpose)

    def unwrap(self, wrapped: bytes, purpose: bytes) -> bytes:
        """Raises MasterKeyError where this master key did not wrap it for this purpose."""
        cipher, bare = self._cipher(epoch_of(wrapped)), wrapped if len(wrapped) == _BARE else wrapped[4:]
        try:
            return cipher.decrypt(bare[:12], bare[12:], purpose)
        except (InvalidTag, ValueError):  # ValueError: it is too short to begin with a nonce
            raise MasterKeyError(
                "This master key does not open this book. Put back the master.key that the book was begun with"
                " (DAYBOOK_MASTER_KEY_FILE names it), or open the book that this key belongs to."
            ) from None

    def _cipher(self, epoch: int) -> AESGCM:
        if epoch not in self._ciphers:
            self._ciphers = self._ciphers_now()  # it was rotated: the former one leaves this process too
        try:
            return self._ciphers[epoch]
        except KeyError:
            held = ", ".join(map(str, sorted(self._ciphers)))
            raise EpochUnknown(
                f"Keys of this book are wrapped under the master key of epoch {epoch}, and the key file holds epoch"
                f" {held}. Put the key file there that the master key was rotated with; for an older backup, the file"
                " of its time (docs/operator/keys.md)."
            ) from None

    def _ciphers_now(self) -> Mapping[int, AESGCM]:
        return {epoch: AESGCM(key) for epoch, key in self._read().items()}


def epoch_of(wrapped: bytes) -> int:
    """The epoch of the master key under which this is wrapped."""
    return 1 if len(wrapped) == _BARE else int.from_bytes(wrapped[:4], "big")


def master_key(file: Path, *, begun: bool) -> MasterKey:
    """The key of the file; a book that has not begun gets a new one, in a file for its owner alone.

    Raises MasterKeyError where the file is missing for a book that has begun, can't be trusted, or holds no key.
    """
    try:
        if begun and not is_there(file):
            raise MasterKeyError(
                f"This book was begun under a master key, but {file} does not exist. Put the key file back"
                " (DAYBOOK_MASTER_KEY_FILE names another place); without it nothing personal opens."
            )
        secret(file, lambda: _line(1, os.urandom(32)))
    except PrivateFileError as error:
        raise MasterKeyError(str(error)) from None
    return MasterKey(partial(keys_in, file))


def keys_in(file: Path) -> Keys:
    """The keys that the file holds; raises MasterKeyError."""
    # A file that is superseded is overwritten: whoever has opened it just before reads the new one the second time.
    keys = _read(file) or _read(file)
    if keys is None:
        raise MasterKeyError(
            f"The file {file} holds no Daybook master key, or not only that; put back the one that the book was begun"
            " with, or that its master key was rotated with."
        )
    return keys


def _read(file: Path) -> Keys | None:
    try:
        found = [_LINE.fullmatch(line) for line in kept(file).split("\n")]
    except PrivateFileError as error:
        raise MasterKeyError(str(error)) from None
    keys = {int(line["epoch"] or 1): base64.b64decode(line["key"]) for line in found if line is not None}
    return keys if len(keys) == len(found) else None


def keep(file: Path, keys: Keys) -> None:
    """Let the file hold these keys and no others; what it held is overwritten. Raises MasterKeyError."""
    try:
        supersede(file, "".join(f"{_line(epoch, key)}\n" for epoch, key in sorted(keys.items())))
    except PrivateFileError as error:
        raise MasterKeyError(str(error)) from None


def _line(epoch: int, key: bytes) -> str:
    return f"daybook-master-key-{'1' if epoch == 1 else f'2:{epoch}'}:{base64.b64encode(key).decode()}"
