"""The master key: 32 random bytes in a file of their own, which wrap every other key. Without it nothing opens."""

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.kernel.randomness import random_bytes
from infra.private_files import PrivateFileError, private_directory, secret

_HEADER = "daybook-master-key-1:"


class MasterKeyError(Exception):
    """The master key is missing, unreadable or another book's; the message says what to do."""


class MasterKey:
    """Wraps and unwraps keys: AES-256-GCM under the master key, bound to what the wrapped key is for."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, key: bytes, purpose: bytes) -> bytes:
        nonce = random_bytes(12)
        return nonce + self._cipher.encrypt(nonce, key, purpose)

    def unwrap(self, wrapped: bytes, purpose: bytes) -> bytes:
        """Raises MasterKeyError where this master key did not wrap it for this purpose."""
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], purpose)
        except InvalidTag:
            raise MasterKeyError(
                "This master key does not open this book. Put back the master.key that the book was begun with"
                " (DAYBOOK_MASTER_KEY_FILE names it), or open the book that this key belongs to."
            ) from None


def master_key(file: Path, *, begun: bool) -> MasterKey:
    """The key of the file; a book that has not begun gets a new one, in a file for its owner alone.

    Raises MasterKeyError where the file is missing for a book that has begun, can't be trusted, or holds no key.
    """
    if begun and not file.exists():
        raise MasterKeyError(
            f"This book was begun under a master key, but {file} does not exist. Put the key file back"
            " (DAYBOOK_MASTER_KEY_FILE names another place); without it nothing personal opens."
        )
    try:
        private_directory(file.parent)
        text = secret(file, lambda: _HEADER + base64.b64encode(os.urandom(32)).decode())
    except PrivateFileError as error:
        raise MasterKeyError(str(error)) from None
    try:
        key = base64.b64decode(text.removeprefix(_HEADER), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_HEADER) or len(key) != 32:
        raise MasterKeyError(
            f"The file {file} holds no Daybook master key; put back the one that the book was begun with."
        )
    return MasterKey(key)
