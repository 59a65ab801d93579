"""Files that commands write for somebody: whether they can be is found out before the book is told that they were."""

from pathlib import Path
from tempfile import TemporaryFile

from api.cli.book import USAGE, CommandFailed


def check_writable(file: Path, *, anew: bool = False) -> None:
    """Raises CommandFailed where this file can't be written; `anew`: or is there already."""
    try:
        with TemporaryFile(dir=file.parent):
            pass
        if file.is_dir():
            raise IsADirectoryError(0, "it is a directory")
    except OSError as error:
        raise CommandFailed(f"The file {file} can't be written: {error.strerror}.", USAGE) from None
    if anew and file.exists():
        raise CommandFailed(f"The file {file} is there already. Name another one, or remove it.", USAGE)
