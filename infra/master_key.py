"""The master key: 32 random bytes in a file of their own, which wrap every other key. Without it nothing opens."""

import base64
import binascii
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER = "daybook-master-key-1:"


class MasterKeyError(Exception):
    """The master key is missing, unreadable or another book's; the message says what to do."""


class MasterKey:
    """Wraps and unwraps keys: AES-256-GCM under the master key, bound to what the wrapped key is for."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, key: bytes, purpose: bytes) -> bytes:
        nonce = os.urandom(12)
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


def read_master_key(file: Path) -> MasterKey | None:
    """The key of the file, None where there is no file. Raises MasterKeyError where the file holds no key."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise MasterKeyError(f"The master key file {file} can't be read: {error}.") from None
    try:
        key = base64.b64decode(text.removeprefix(_HEADER), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_HEADER) or len(key) != 32:
        raise MasterKeyError(
            f"The file {file} holds no Daybook master key; put back the one that the book was begun with."
        )
    return MasterKey(key)


def make_master_key(file: Path) -> MasterKey:
    """A new key in a new file, readable by its owner alone, on disk before it is used."""
    key = os.urandom(32)
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(_HEADER + base64.b64encode(key).decode() + "\n")
        out.flush()
        os.fsync(out.fileno())
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return MasterKey(key)
