"""The signing key: who has it speaks for the log. It stands in a file of its own, with the name of the log."""

import os
import secrets
from pathlib import Path

from infra.log.note import NoteError, Signer, Verifier
from infra.private_files import PrivateFileError, is_there, secret


class SigningKeyError(Exception):
    """The signing key is missing, unreadable or no key; the message says what to do."""


def signing_key(file: Path, *, begun: bool) -> Signer:
    """The key of the file; a log that has not begun gets a new one, and with it its name.

    Raises SigningKeyError where the file is missing for a log that has begun, can't be trusted, or holds no key.
    """
    try:
        if begun and not is_there(file):
            raise SigningKeyError(
                f"Checkpoints of this book were signed, but {file} does not exist. Put the key file back"
                " (DAYBOOK_SIGNING_KEY_FILE names another place). Where it is lost for good,"
                " `daybook checkpoint --new-key` begins another, which auditors have to be told."
            )
        text = secret(file, lambda: Signer(f"daybook/{secrets.token_hex(8)}", os.urandom(32)).secret)
        return Signer.read(text)
    except PrivateFileError as error:
        raise SigningKeyError(str(error)) from None
    except NoteError as error:
        raise SigningKeyError(f"The file {file} holds no signing key: {error}. Put back the right one.") from None


def own_verifier(file: Path) -> Verifier | None:
    """The key that signatures made here are verified with; None where the signing key is not here.

    Raises SigningKeyError where the file can't be trusted, or holds no key.
    """
    return signing_key(file, begun=True).verifier if is_there(file) else None
