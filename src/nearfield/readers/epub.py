"""Electronic books (EPUB), a document per chapter, in the order of reading.

An EPUB is an archive of web pages, which our own reader of HTML reads, with small lists
of what they are. These are XML: defusedxml sees to it that no entity makes them grow.
"""

from __future__ import annotations

import posixpath
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from nearfield._extras import require
from nearfield.core.readers.decode import decode
from nearfield.core.readers.formats import FormatError, Part
from nearfield.core.readers.html import html_text
from nearfield.readers.archive import check_archive, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from xml.etree.ElementTree import Element

    Parse = Callable[[bytes], Element]

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})


def read_epub(data: bytes) -> Iterator[Part]:
    """Give the text of each chapter that has some.

    Args:
        data: The file.

    Yields:
        A part per file of the book, numbered from 1 in the order of reading, with the
        book's title as ``title`` and that of the chapter as ``chapter``, where there is one.

    Raises:
        FormatError: It is damaged, protected, unpacks to too much, or has no text.
        MissingDependencyError: defusedxml is not installed.
    """
    xml = require("defusedxml.ElementTree", extra="readers", purpose="Reading EPUB files")
    check_archive(data, ".epub")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            parts = list(_chapters(archive, xml.fromstring))
    except FormatError:
        raise
    except Exception as error:
        raise unreadable(error) from error
    if not parts:
        message = "It has no text: its pages are pictures, and need text recognition first."
        raise FormatError(message)
    yield from parts


def _chapters(archive: zipfile.ZipFile, parse: Parse) -> Iterator[Part]:
    root = parse(archive.read(_CONTAINER)).find(".//{*}rootfile")
    package_path = "" if root is None else root.get("full-path", "")
    package = parse(archive.read(package_path))
    title = " ".join((package.findtext(".//{*}metadata/{*}title") or "").split())
    names = set(archive.namelist())
    protected = _protected(archive, parse) if _ENCRYPTION in names else set()
    for number, path in enumerate(_reading_order(package, package_path), 1):
        if path in protected:
            message = "It is protected against copying. Give a copy that is not."
            raise FormatError(message)
        if path in names:  # some lists name files that were left out
            text, chapter = html_text(decode(archive.read(path), path).text)
            facts = {"title": title, "chapter": chapter}
            if text:
                yield Part(text, number, {name: it for name, it in facts.items() if it})


def _reading_order(package: Any, package_path: str) -> list[str]:
    """Give the names of the pages of a book, each once."""
    folder = posixpath.dirname(package_path)
    pages = {
        item.get("id"): posixpath.normpath(posixpath.join(folder, _path(item.get("href", ""))))
        for item in package.iterfind(".//{*}manifest/{*}item")
        if item.get("media-type") in _PAGES
    }
    order = [one.get("idref") for one in package.iterfind(".//{*}spine/{*}itemref")]
    return list(dict.fromkeys(pages[name] for name in order if name in pages))


def _protected(archive: zipfile.ZipFile, parse: Parse) -> set[str]:
    """Give the names of files that are encrypted; fonts often are, and harm nobody."""
    listed = parse(archive.read(_ENCRYPTION))
    return {_path(one.get("URI", "")) for one in listed.iterfind(".//{*}CipherReference")}


def _path(uri: str) -> str:
    return unquote(urlsplit(uri).path)
