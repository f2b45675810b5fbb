"""One file into documents: opened with care, decoded, laid out, named."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.core.readers.decode import decode
from nearfield.core.readers.discovery import readable
from nearfield.core.readers.formats import FormatError, Part, parts_of
from nearfield.core.registry import READERS
from nearfield.core.schema import Document, as_document
from nearfield.errors import MissingDependencyError, NearfieldError, ReadError

if TYPE_CHECKING:
    from nearfield.core.readers.discovery import FoundFile

MAX_BYTES = 100_000_000
"""The largest file that is read unless told otherwise."""

Extractor = Callable[..., Any]
"""Gives the text of a file, or its documents, from its path; or has LlamaIndex's ``load_data``."""

_TYPES = mimetypes.MimeTypes()  # the module's own table alone: the same on every machine
_TYPES.add_type("text/markdown", ".md")
_TYPES.add_type("text/x-rst", ".rst")
_OFFICE = "application/vnd.openxmlformats-officedocument"
_TYPES.add_type(f"{_OFFICE}.wordprocessingml.document", ".docx")
_TYPES.add_type(f"{_OFFICE}.presentationml.presentation", ".pptx")
_TYPES.add_type(f"{_OFFICE}.spreadsheetml.sheet", ".xlsx")
_TYPES.add_type("application/epub+zip", ".epub")
_TYPES.add_type("application/x-ipynb+json", ".ipynb")
_NEVER_LINKS = getattr(os, "O_NOFOLLOW", 0)
# Without O_NONBLOCK, opening a pipe waits for its other end.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class FileReader:
    """Reads a file into documents.

    Attributes:
        encoding: The encoding of all files; found out for each by default.
        errors: What to do with bytes that are not in ``encoding``, as for :meth:`bytes.decode`.
        max_bytes: The largest file that is read.
        file_extractor: By ending (``".pdf"``), what gives the text or documents of a file.
        file_metadata: Gives further facts of a file, from its path.
    """

    encoding: str | None = None
    errors: str = "strict"
    max_bytes: int = MAX_BYTES
    file_extractor: Mapping[str, Extractor] = field(default_factory=dict)
    file_metadata: Callable[[str], Mapping[str, Any]] | None = None

    def documents(self, found: FoundFile) -> Iterator[Document]:
        """Read a file.

        Args:
            found: The file.

        Yields:
            Its documents: one, whose id is the file's, or one per record, whose id ends in
            ``#1``, ``#2`` and so on.

        Raises:
            ReadError: It cannot be opened, is too large, no text, or not what its ending says.
        """
        ending = os.path.splitext(found.path)[1].lower()
        extractor = self.file_extractor.get(ending)
        with _opened(found) as file:
            facts = _facts(found, os.fstat(file.fileno()))
            facts.update(self.file_metadata(found.path) if self.file_metadata else {})
            if extractor is not None:
                parts = _extracted(extractor, found, facts)
            else:
                parts = self._parts(found, ending, _content(file, found, self.max_bytes), facts)
            try:
                for part in parts:
                    yield _document(found, part, facts)
            except FormatError as error:
                message = f"{found.shown} is no {ending} file: {error}"
                raise ReadError(message, path=found.shown) from error

    def _parts(
        self, found: FoundFile, ending: str, content: tuple[bytes, bool], facts: dict[str, Any]
    ) -> Iterator[Part]:
        data, cut_short = content
        if ending in READERS:
            yield from _parts_by_library(found, ending, data)
            return
        decoded = decode(
            data, found.shown, encoding=self.encoding, errors=self.errors, cut_short=cut_short
        )
        if decoded.guessed:
            facts["encoding"] = f"{decoded.encoding} (a guess)"
        elif decoded.encoding not in ("utf-8", "utf-8-sig"):
            facts["encoding"] = decoded.encoding
        yield from parts_of(decoded.text, ending)


def _parts_by_library(found: FoundFile, ending: str, data: bytes) -> Iterator[Part]:
    try:
        yield from READERS[ending].load()(data)
    except MissingDependencyError as error:
        message = f"{found.shown}: {error}"
        raise ReadError(message, path=found.shown) from error


def _opened(found: FoundFile) -> Any:
    flags = _FLAGS if found.named else _FLAGS | _NEVER_LINKS
    try:
        number = os.open(found.path, flags)
    except OSError as error:
        message = f"{found.shown} cannot be opened: {error.strerror}."
        raise ReadError(message, path=found.shown) from error
    kind = os.fstat(number).st_mode
    if not stat.S_ISREG(kind):
        os.close(number)
        what = "a folder" if stat.S_ISDIR(kind) else "a pipe, a socket or a device"
        message = f"{found.shown} is {what}, not a file."
        raise ReadError(message, path=found.shown)
    return os.fdopen(number, "rb", buffering=0)


def _content(file: Any, found: FoundFile, most: int) -> tuple[bytes, bool]:
    """Read a file up to the size it had when it was opened; say whether it has grown since."""
    size = os.fstat(file.fileno()).st_size
    if size > most:
        message = (
            f"{found.shown} has {size:,} bytes; no more than {most:,} are read. "
            "Raise max_bytes, or split it."
        )
        raise ReadError(message, path=found.shown)
    pieces: list[bytes] = []
    missing = size
    try:
        while missing and (piece := file.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces), os.fstat(file.fileno()).st_size > size
    except OSError as error:
        message = f"{found.shown} cannot be read: {error.strerror}."
        raise ReadError(message, path=found.shown) from error


def _facts(found: FoundFile, about: os.stat_result) -> dict[str, Any]:
    changed = datetime.fromtimestamp(int(about.st_mtime), UTC)
    return {
        "file_path": found.shown,
        "file_name": readable(os.path.basename(found.path)),
        "file_type": _TYPES.guess_type(found.path)[0] or "text/plain",
        "file_size": about.st_size,
        "last_modified_date": changed.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _document(found: FoundFile, part: Part, facts: dict[str, Any]) -> Document:
    numbered = {} if part.number is None else {"part": part.number}
    name = found.id if part.number is None else f"{found.id}#{part.number}"
    return Document(_storable(part.text), {**facts, **part.facts, **numbered}, name)


def _storable(text: str) -> str:
    """Write out half characters, which JSON can spell but no file can hold."""
    return _SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)


def _extracted(extractor: Extractor, found: FoundFile, facts: dict[str, Any]) -> Iterator[Part]:
    """Ask a caller's extractor, which gives a text, texts, a document or documents."""
    load = getattr(extractor, "load_data", None)
    try:
        # LlamaIndex's readers are handed a Path, and use what it has.
        given = load(Path(found.path), extra_info=dict(facts)) if load else extractor(found.path)
        items = (
            list(given)
            if isinstance(given, (Sequence, Iterator)) and not isinstance(given, str)
            else [given]
        )
        taken = [item if isinstance(item, str) else as_document(item) for item in items]
    except NearfieldError:
        raise
    except Exception as error:
        message = f"{found.shown}: its extractor failed: {type(error).__name__}: {error}"
        raise ReadError(message, path=found.shown) from error
    for number, item in enumerate(taken, 1):
        which = number if len(taken) > 1 else None
        if isinstance(item, str):
            yield Part(item, which)
        else:
            yield Part(item.text, which, dict(item.metadata))
