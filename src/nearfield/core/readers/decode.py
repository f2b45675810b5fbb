"""Bytes into text: no byte dropped, no guess unsaid.

In this order: what the caller says, a byte-order mark, UTF-8, UTF-8 with a few
broken bytes, which are written out, what the file declares, UTF-16 without a mark,
and last Windows-1252, which is a guess. Bytes that are no text are refused.
"""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from dataclasses import dataclass

from nearfield.errors import ReadError

_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = {
    b"%PDF-": "a PDF file",
    b"PK\x03\x04": "a ZIP archive, or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\xfd7zXZ\x00": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"{\\rtf": "an RTF document",
    b"\xd0\xcf\x11\xe0": "an old office document",
    b"\x7fELF": "a program",
    b"SQLite format 3\x00": "a database",
}
_DECLARED = re.compile(
    rb"(?:coding[:=][ \t]*|charset=[\"']?|<\?xml[^>]{0,100}encoding=[\"'])([A-Za-z0-9_.:-]{2,40})"
)
_HEAD = 1024
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MOST_CONTROLS = 0.02
_HIGH = bytes(range(0x80, 0x100))
_LEAST_PER_BROKEN = 10
_NARROW_SHARE = 0.7
"""In UTF-16 text that is mostly ASCII, every other byte is zero; so many must be."""

GUESS = "cp1252"
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
"""What pages are written in that declare an encoding with fewer characters, as browsers take
them (WHATWG's Encoding Standard, section 4.2); by Python's names."""
_UNUSED = re.compile("[\x80-\x9f]")
"""No text holds them: in it they are signs of the Windows encoding that is meant."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text.

    Attributes:
        text: The text, without a byte-order mark.
        encoding: How it was written.
        guessed: Nothing said so, and another encoding would have fitted as well.
    """

    text: str
    encoding: str
    guessed: bool = False


def decode(
    data: bytes,
    path: str,
    *,
    encoding: str | None = None,
    errors: str = "strict",
    cut_short: bool = False,
) -> Decoded:
    """Turn a file's bytes into text.

    Args:
        data: The bytes.
        path: Where they are from, for messages.
        encoding: Their encoding; found out by default.
        errors: What to do with bytes that are not in ``encoding``, as for :meth:`bytes.decode`.
        cut_short: The file went on when it was read: a character cut in two at the
            end is left out.

    Returns:
        The text and its encoding.

    Raises:
        ReadError: The bytes are no text, or not in the encoding given.
    """
    if encoding is not None:
        return _decode_as_told(data, path, encoding, errors)
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decode_as(_whole(data, name) if cut_short else data, path, name, errors)
    _refuse_magic(data, path)
    if b"\x00" not in data:
        try:
            return Decoded(data.decode(), "utf-8")
        except UnicodeDecodeError as error:
            if cut_short and error.reason == "unexpected end of data":
                return Decoded(data[: error.start].decode(), "utf-8")
        if (broken := _broken_utf8(data)) is not None:
            return broken
        named = _DECLARED.search(data, 0, _HEAD)
        declared = named and _decode_as_declared(data, path, named[1].decode())
        if declared:
            return declared
    elif (wide := _unmarked_utf16(data)) is not None:
        return wide
    return _decode_by_guess(data, path)


def _decode_as_told(data: bytes, path: str, encoding: str, errors: str) -> Decoded:
    """Decode as the caller says; what is no text is none in any encoding."""
    _refuse_magic(data, path)
    decoded = _decode_as(data, path, encoding, errors)
    head = decoded.text[: 64 * _HEAD]
    if len(_CONTROLS.findall(head.encode("latin-1", "replace"))) > _MOST_CONTROLS * len(head):
        raise _not_text(path, "binary")
    return decoded


def _decode_as(data: bytes, path: str, encoding: str, errors: str) -> Decoded:
    try:
        text = data.decode(encoding, errors)
    except LookupError as error:
        message = f"{path}: there is no encoding {encoding!r}. Use a name Python knows."
        raise ReadError(message, path=path) from error
    except UnicodeError as error:
        message = f"{path} is not {encoding}: {error}. Leave encoding out to have it found."
        raise ReadError(message, path=path) from error
    return Decoded(text.removeprefix("\ufeff"), encoding)


def _broken_utf8(data: bytes) -> Decoded | None:
    """Decode what is UTF-8 but for a few bytes, and write these out; ``None`` where it is not.

    Text in another encoding hardly ever has a letter that UTF-8 could have written.
    """
    kept = len(data.decode("utf-8", "ignore"))
    bad = len(data.decode("utf-8", "surrogateescape")) - kept
    letters = kept - len(data.translate(None, _HIGH))
    if letters < _LEAST_PER_BROKEN * bad:
        return None
    return Decoded(data.decode("utf-8", "backslashreplace"), "utf-8", guessed=True)


def _decode_as_declared(data: bytes, path: str, name: str) -> Decoded | None:
    """Decode as a file says; ``None`` where it is wrong, as is common."""
    plain = name.lower().removeprefix("x-")
    try:
        known = codecs.lookup(plain).name
    except LookupError:
        return None
    if known.startswith(("utf-16", "utf-32")):  # in which these very words could not be read
        return None
    decoded = None
    for one in (plain, _MEANT.get(known)):
        if one is not None:
            with suppress(ReadError):
                decoded = _decode_as(data, path, one, "strict")
                if not _UNUSED.search(decoded.text):
                    break
    return decoded


def _whole(data: bytes, encoding: str) -> bytes:
    """Leave out the beginning of a character at the end."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    decoder.decode(data)
    begun = decoder.getstate()[0]
    return data[: len(data) - len(begun)]


def _refuse_magic(data: bytes, path: str) -> None:
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            message = (
                f"{path} is {what}, not text. Pass a file_extractor for its ending to read it."
            )
            raise ReadError(message, path=path)


def _unmarked_utf16(data: bytes) -> Decoded | None:
    head = data[: 4 * _HEAD]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros, others = head[first::2], head[1 - first :: 2]
        if zeros.count(0) > _NARROW_SHARE * len(zeros) and not others.count(0):
            try:
                return Decoded(data.decode(name), name, guessed=True)
            except UnicodeDecodeError:
                return None
    return None


def _decode_by_guess(data: bytes, path: str) -> Decoded:
    controls = len(_CONTROLS.findall(data, 0, 64 * _HEAD))
    if b"\x00" in data or controls > _MOST_CONTROLS * min(len(data), 64 * _HEAD):
        raise _not_text(path, "binary")
    try:
        return Decoded(data.decode(GUESS), GUESS, guessed=True)
    except UnicodeDecodeError:  # five bytes have no meaning in it; Latin-1 has one for all
        return Decoded(data.decode("latin-1"), "latin-1", guessed=True)


def _not_text(path: str, what: str) -> ReadError:
    message = f"{path} is {what}, not text. Pass a file_extractor for its ending to read it."
    return ReadError(message, path=path)
