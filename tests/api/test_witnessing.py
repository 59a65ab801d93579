"""`witness`, as a shell sees it: beside a real book, and with nothing of a book at all."""

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from unittest import mock

import psycopg
import pytest

from api.beginning import define_roles, missing_roles
from infra.log.checkpoint import checkpoint, read
from infra.log.note import Signer
from tests.api.filled import opened
from tests.api.test_command_line import FAILED, OK, OUT_OF_REACH, USAGE, Done, Shell
from tests.infra.log.test_witness import cosigned_at

NO_BOOK = {"DATABASE_URL": "mysql://nowhere", "DAYBOOK_PORT": "none", "DAYBOOK_DATA": "/nowhere"}
"""Settings that no command gets past which reads them."""
SIGNER = Signer("daybook/tested", bytes(32))


class Auditor:
    """Somebody who has the command, a directory, and what they are sent."""

    def __init__(self, folder: Path) -> None:
        self._shell, self.folder = Shell("host=nowhere dbname=none user=u password=p port=1", folder), folder

    def witness(self, *arguments: str, sent: bytes = b"") -> Done:
        with mock.patch.object(sys, "stdin", TextIOWrapper(BytesIO(sent))):
            return self._shell.run("witness", "--keep", str(self.folder / "witness"), *arguments, **NO_BOOK)

    def refused(self, code: int, says: str, *arguments: str, sent: bytes = b"") -> None:
        done = self.witness(*arguments, sent=sent)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done
        assert says in done.stderr


@pytest.fixture
def auditor(tmp_path: Path) -> Auditor:
    (tmp_path / "auditor").mkdir()
    return Auditor(tmp_path / "auditor")


def test_a_book_is_followed_by_somebody_who_never_sees_it(database: str, tmp_path: Path, auditor: Auditor) -> None:
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        define_roles(parts, missing_roles(db)[:4])
    operator = Shell(database, tmp_path)
    key = operator.run("checkpoint", "--key").stdout.strip()
    known = auditor.witness("--own-key").stdout.strip()
    first = operator.run("checkpoint").stdout
    (auditor.folder / "first.txt").write_text(first)
    auditor.refused(USAGE, "give it with --key", str(auditor.folder / "first.txt"))
    done = auditor.witness("--key", key, str(auditor.folder / "first.txt"))
    size = read(first).size
    assert (done.returncode, done.stderr) == (OK, f"Cosigned: {size} entries of {read(first).origin}.\n")
    cosigned = tmp_path / "cosigned.txt"
    cosigned.write_text(done.stdout)
    assert done.stdout.startswith(first)
    assert cosigned_at(done.stdout, known) > 1_700_000_000
    with opened(database, tmp_path) as parts, psycopg.connect(database, autocommit=True) as db:
        define_roles(parts, missing_roles(db))
    request = operator.run("checkpoint", "--since", str(cosigned)).stdout
    again = auditor.witness(sent=request.encode())
    assert read(again.stdout).size > size
    assert again.stdout == (auditor.folder / "witness" / "checkpoint").read_text()
    later = tmp_path / "later.txt"
    later.write_text(again.stdout)
    verified = operator.run("verify", "--checkpoint", str(cosigned), "--checkpoint", str(later))
    assert (verified.returncode, verified.stdout) == (
        OK,
        f"Entries 1 to {read(again.stdout).size} are unaltered, as 4 checkpoints say.\n",
    )
    auditor.refused(FAILED, f"covers {size} entries", sent=first.encode())


def test_what_is_not_cosigned_is_one_sentence_and_changes_nothing(auditor: Auditor) -> None:
    def note(root: int) -> bytes:
        return checkpoint(7, bytes([root] * 32), SIGNER).encode()

    key = str(SIGNER.verifier)
    file = auditor.folder / "some.txt"
    file.write_bytes(b"\xff\xfe")
    for says, arguments in (
        ("holds more than any request", ("/dev/zero",)),
        ("can't be read", (str(file),)),
        ("can't be read", (str(auditor.folder),)),
        ("can't be read", ("no.txt",)),
        ("holds neither a request nor a checkpoint", ()),
        ("--key x can't be used", ("--key", "x")),
    ):
        auditor.refused(USAGE, says, *arguments, sent=note(1) if "--key" in arguments else b"old 1\n\nx")
        assert not (auditor.folder / "witness").exists()
    auditor.refused(USAGE, "holds more than any request", sent=b"old 1\n" * 100_000)
    assert auditor.witness("--key", key, sent=note(1)).returncode == OK
    auditor.refused(FAILED, "SPLIT VIEW", sent=note(2))
    evil = checkpoint(9, bytes(32), Signer("evil\x9b31m", bytes(32))).encode()
    auditor.refused(FAILED, r"of the log evil\x9b31m, and not of daybook/tested", sent=evil)
    (auditor.folder / "witness").chmod(0o755)
    auditor.refused(OUT_OF_REACH, "chmod 700", sent=note(1))
