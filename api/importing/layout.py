"""How a CSV file is laid out: its encoding and its delimiter, the same for reading it and for writing one like it."""

import codecs
import csv
import string
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path

import msgspec

from api.importing.values import BadValue

_PLAIN = string.ascii_letters + string.digits + string.punctuation.replace("%", "") + " \t\r\n"
"""What every encoding of files has; an Arabic one has its own per cent sign."""


class NotReadable(Exception):
    """A file can't be read as it is said to be laid out; the message says why, without a full stop."""


class Layout(msgspec.Struct, frozen=True):
    """The layout of a CSV file. Text stands in double quotes where it has to."""

    encoding: str
    delimiter: str

    def rows(self, file: Path) -> Iterator[list[str]]:
        """The rows of a file but empty lines. Raises NotReadable."""
        # As utf-8 a byte order mark may stand there or not.
        encoding = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        line = 1  # in which the next row begins
        try:
            with file.open(newline="", encoding=encoding) as text:
                reader = csv.reader(text, delimiter=self.delimiter, strict=True)
                for row in reader:
                    line = reader.line_num + 1
                    if row:
                        yield row
        except OSError as error:
            raise NotReadable(f"The file {file} can't be read: {error.strerror}") from None
        except UnicodeError as error:
            why = f"{error}. Name its encoding in the mapping"
            raise NotReadable(f"The file {file} can't be read as {self.encoding}: {why}") from None
        except csv.Error as error:
            where = f"in the row that begins in line {line}; perhaps a quote there is not closed"
            raise NotReadable(f"The file {file} is no CSV file: {error}, {where}") from None

    def written(self, rows: Iterable[Sequence[object]]) -> bytes:
        """A file like the one that was read; letters that the encoding lacks become question marks."""
        out = StringIO(newline="")
        csv.writer(out, delimiter=self.delimiter).writerows(rows)
        return out.getvalue().encode(self.encoding, "replace")

    def spelled(self, text: str) -> str:
        """The text as it comes back from such a file."""
        return text.encode(self.encoding, "replace").decode(self.encoding)


def checked_layout(encoding: str, delimiter: str) -> Layout:
    """The layout that a mapping asks for. Raises BadValue."""
    if not _writes_files(encoding):
        raise BadValue(f"encoding is {encoding!r}, which is no encoding of text files such as utf-8 or latin-1")
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise BadValue(f"delimiter is {delimiter!r}, and must be one character, neither a quote nor a line's end")
    try:
        delimiter.encode(encoding)
    except UnicodeError:
        raise BadValue(f"delimiter is {delimiter!r}, which can't be written in {encoding}") from None
    return Layout(encoding, delimiter)


def _writes_files(encoding: str) -> bool:
    """Whether it takes plain text, byte by byte, and no halves of characters: Python's codecs are not all for files."""
    try:
        written = _PLAIN.encode(encoding)
        read = codecs.getincrementaldecoder(encoding)()
        if "".join(read.decode(bytes([byte])) for byte in written) + read.decode(b"", final=True) != _PLAIN:
            return False
    except (LookupError, ValueError):  # ValueError: UnicodeError, and a name that can't be one
        return False
    try:
        "\ud800".encode(encoding)
    except UnicodeError:
        return True
    return False
