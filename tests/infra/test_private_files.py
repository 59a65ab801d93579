"""Files for their owner alone: what is written, and what is never written over."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.private_files import PrivateFileError, replace, supersede


def _device(place: Path) -> None:
    try:
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes device nodes")


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))


def _link_to_a_pipe(place: Path) -> None:
    os.mkfifo(place.with_name("pipe"))
    place.symlink_to("pipe")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, _device, _socket, _link_to_a_pipe])
def test_what_is_no_file_is_left_as_it_is(tmp_path: Path, make: Callable[[Path], None]) -> None:
    place = tmp_path / "out"
    make(place)
    before, there = place.lstat(), sorted(os.listdir(tmp_path))
    with pytest.raises(PrivateFileError, match=r"out can't be written: it is a \w+\. Name a file"):
        replace(place, "new")
    after = place.lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert sorted(os.listdir(tmp_path)) == there


def test_what_a_link_names_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    file, missing = tmp_path / "far" / "file", tmp_path / "far" / "missing"
    file.write_text("old")
    for name, write in (("a", replace), ("b", supersede)):
        link = tmp_path / name
        link.symlink_to(file)
        write(link, name)
        assert (link.is_symlink(), file.read_text()) == (True, name)
    (tmp_path / "c").symlink_to(missing)
    replace(tmp_path / "c", "c")
    assert ((tmp_path / "c").is_symlink(), missing.read_text()) == (True, "c")
    assert sorted(os.listdir(tmp_path / "far")) == ["file", "missing"]


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(PrivateFileError, match="can't be written: Too many levels"):
        replace(tmp_path / "round", "new")
