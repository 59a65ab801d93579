"""Files that commands write for somebody: whether they can be is found out before the book is told that they were."""

import os
from pathlib import Path
from tempfile import TemporaryFile

from api.cli.book import USAGE, CommandFailed
from infra.private_files import PrivateFileError, destination


def check_writable(file: Path, *, anew: bool = False) -> None:
    """Raises CommandFailed where this file can't be written; `anew`: or is there already."""
    try:
        with TemporaryFile(dir=destination(file).parent):
            pass
    except PrivateFileError as error:
        raise CommandFailed(str(error), USAGE) from None
    except OSError as error:
        raise CommandFailed(f"The file {file} can't be written: {error.strerror}.", USAGE) from None
    if anew and os.path.lexists(file):
        raise CommandFailed(f"The file {file} is there already. Name another one, or remove it.", USAGE)
