"""Directories that Daybook may not write, or not even look into: what they hold is used, and what is said is true."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.log.signing_key import SigningKeyError, signing_key
from infra.master_key import MasterKeyError, master_key
from infra.private_files import PrivateFileError, is_there, private_directory
from infra.settings import admin_token, read_settings

NOBODY = 65_534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: it becomes nobody for as long as the block lasts."""
    was_root = os.geteuid() == 0
    if was_root:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        if was_root:
            os.setresuid(0, 0, 0)


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A directory in which a key of ours may stand, and that we may not write."""
    tmp_path.parent.chmod(0o711)
    place = tmp_path / "secrets"
    place.mkdir()
    return place


def _shut(place: Path, mode: int = 0o555) -> None:
    place.chmod(mode)
    if os.geteuid() == 0:
        for file in place.iterdir():
            os.chown(file, NOBODY, NOBODY)


def _master(place: Path) -> object:
    return master_key(place / "key", begun=place.joinpath("key").exists())


def _signing(place: Path) -> object:
    return signing_key(place / "key", begun=place.joinpath("key").exists())


def _token(place: Path) -> object:
    return admin_token(read_settings({"DAYBOOK_DATA": str(place)}))


@pytest.mark.parametrize("use", [_master, _signing, _token])
def test_a_secret_is_read_where_nothing_can_be_written(mounted: Path, use: Callable[[Path], object]) -> None:
    use(mounted)
    there = os.listdir(mounted)
    _shut(mounted)
    with unprivileged():
        use(mounted)
    assert os.listdir(mounted) == there


@pytest.mark.parametrize("use", [_master, _signing, _token])
def test_none_is_made_where_nothing_can_be_written(mounted: Path, use: Callable[[Path], object]) -> None:
    _shut(mounted)
    why = "belongs to another account" if os.geteuid() == 0 else "can't be read and written by its owner"
    with unprivileged(), pytest.raises((MasterKeyError, SigningKeyError, PrivateFileError), match=why):
        use(mounted)


def test_a_directory_that_its_owner_has_shut_is_told(mounted: Path) -> None:
    mounted.chmod(0o500)
    if os.geteuid() == 0:
        os.chown(mounted, NOBODY, NOBODY)
    with unprivileged(), pytest.raises(PrivateFileError, match="chmod u\\+rwx"):
        private_directory(mounted)


def test_a_read_only_file_system_is_called_that(mounted: Path) -> None:
    program = "import sys, pathlib, infra.private_files as it; it.private_directory(pathlib.Path(sys.argv[1]))"
    script = 'mount -t tmpfs -o ro none "$1" || exit 77; exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(mounted), sys.executable, program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount anything")
    assert "stands on a file system that is read-only" in done.stderr


def test_what_cannot_be_looked_for_is_told(mounted: Path) -> None:
    mounted.chmod(0)
    with unprivileged(), pytest.raises(PrivateFileError, match="can't be looked for: Permission denied"):
        is_there(mounted / "key")
    with pytest.raises(MasterKeyError, match="can't be looked for: File name too long"):
        master_key(mounted / ("x" * 300), begun=True)
    with pytest.raises(SigningKeyError, match="can't be looked for: File name too long"):
        signing_key(mounted / ("x" * 300), begun=True)
