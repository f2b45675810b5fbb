"""Files that are ZIP archives of XML: none is unpacked before it has said to how much."""

from __future__ import annotations

import zipfile
from io import BytesIO

from nearfield.core.readers.formats import MOST_GROWTH, FormatError

MOST_TEXT_BYTES = 64 << 20
MOST_BYTES = 256 << 20
MOST_MEMBERS = 10_000
LEAST_ROOM = 1 << 20

_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
_TEXT = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")


def check_archive(data: bytes, ending: str) -> int:
    """Refuse what would unpack to too much, by what its table of contents says.

    No more than is said there is ever unpacked of a member.

    Args:
        data: The file.
        ending: What it is to be saved as where it is of an old format (``".docx"``).

    Returns:
        How many bytes of text (XML and web pages) it unpacks to.

    Raises:
        FormatError: It is no archive, locked, or out of measure.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        if data.startswith(_OLD_OFFICE):
            message = f"It is locked by a password, or of an old format. Save it as {ending}."
        else:
            message = f"It is no archive, as such files are ({error})."
        raise FormatError(message) from error
    text = sum(one.file_size for one in members if one.filename.lower().endswith(_TEXT))
    size = sum(one.file_size for one in members)
    if text > MOST_TEXT_BYTES or size > MOST_BYTES or len(members) > MOST_MEMBERS:
        message = (
            f"It unpacks to {len(members):,} parts of {size:,} bytes; no more than "
            f"{MOST_MEMBERS:,} of {MOST_BYTES:,} are read, {MOST_TEXT_BYTES:,} of them text."
        )
        raise FormatError(message)
    return text


def unreadable(error: Exception) -> FormatError:
    """Say of any failure that a file cannot be read.

    Broken files fail in as many ways as there are parts of them.
    """
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = " ".join(str(cause).split())
    return FormatError(f"It cannot be read: {type(cause).__name__}: {said}".rstrip(":. ") + ".")


class Room:
    """What a file may still grow to as it is laid out: its parts may be shown over and over.

    Args:
        size: How many bytes of text the file unpacks to.
    """

    def __init__(self, size: int) -> None:
        self._left = MOST_GROWTH * size + LEAST_ROOM

    def take(self, length: int) -> None:
        """Use some of it.

        Raises:
            FormatError: There is not so much.
        """
        self._left -= length
        if self._left < 0:
            message = f"It grows to more than {MOST_GROWTH} times its length when laid out."
            raise FormatError(message)
