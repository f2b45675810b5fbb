"""``PathReader``: files and whole folders, with ids that stay when all is moved together."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from nearfield.core.readers.discovery import (
    FoundFile,
    Selection,
    SkippedFile,
    as_id,
    not_there,
    readable,
    walk,
)
from nearfield.core.readers.file import MAX_BYTES, FileReader
from nearfield.core.readers.reading import Reading
from nearfield.errors import ConfigError, ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nearfield.core.readers.file import Extractor
    from nearfield.core.schema import Metadata

    AnyPath = str | os.PathLike[str]

# What an index keeps beside itself, by the endings of its own name: no more than these, or the
# file ``notes`` as an index would hide ``notes.md``.
_BESIDE = re.compile(
    r"(-migration(-lock)?)?(-wal|-shm|-journal)?"
    r"|-(snapshot|hnsw)(\.[^.]+\.tmp)?"
    r"|[\\/].*"  # what is in it, if it is a folder
)


class PathReader(Reading):
    """Reads files, and folders with all below them.

    It differs from :class:`~nearfield.core.readers.directory.SimpleDirectoryReader` in that it
    goes into folders, takes several places at once, and can say which documents
    of an index are from these places (:meth:`covers`).

    Args:
        paths: Files and folders; a file is read whatever the patterns say.
        relative_to: A document's id is its file's path from here; from the current
            folder by default.
        leave_out: An index that is not read, nor what it keeps beside itself: its log, its
            snapshot, and what a migration needs.
        allow_empty: To find no file at all is no error.
        required_exts: As for ``SimpleDirectoryReader``, like all that follow.
        exclude: As above.
        exclude_hidden: As above.
        encoding: As above.
        file_extractor: As above.
        file_metadata: As above.
        raise_on_error: As above.
        num_workers: As above.
        max_bytes: As above.

    Raises:
        ConfigError: No path is given.
        ReadError: A path is not there.
    """

    def __init__(
        self,
        paths: Sequence[AnyPath],
        *,
        relative_to: AnyPath | None = None,
        leave_out: AnyPath | None = None,
        allow_empty: bool = False,
        required_exts: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        exclude_hidden: bool = True,
        encoding: str | None = None,
        file_extractor: Mapping[str, Extractor] | None = None,
        file_metadata: Callable[[str], Mapping[str, Any]] | None = None,
        raise_on_error: bool = False,
        num_workers: int = 1,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        reader = FileReader(
            encoding=encoding,
            max_bytes=max_bytes,
            file_extractor=file_extractor or {},
            file_metadata=file_metadata,
        )
        super().__init__(reader, raise_on_error=raise_on_error, num_workers=num_workers)
        if not paths:
            message = "PathReader needs a file or a folder to read."
            raise ConfigError(message)
        self._paths = [os.fspath(path) for path in paths]
        self._base = os.path.abspath(relative_to if relative_to is not None else os.curdir)
        self._leave_out = None if leave_out is None else os.path.abspath(leave_out)
        self._allow_empty = allow_empty
        self._selection = Selection(
            tuple(required_exts or ()), tuple(exclude or ()), exclude_hidden
        )
        for path in self._paths:
            if not os.path.exists(path):
                raise not_there("file or folder", path)

    def covers(self, document_id: str, metadata: Metadata) -> bool:
        """Say whether a document would have been read again, were its file still there.

        Args:
            document_id: The id of a document that a reader with the same ``relative_to`` made.
            metadata: Its metadata.

        Returns:
            Whether it is from one of the paths, wanted by the patterns, and not from a
            file or folder that could not be read the last time.
        """
        part = metadata.get("part")
        file_id = document_id if part is None else document_id.removesuffix(f"#{part}")
        if any(file_id == lost.id or file_id.startswith(f"{lost.id}/") for lost in self.skipped):
            return False
        path = os.path.normpath(os.path.join(self._base, file_id))
        for root in map(os.path.abspath, self._paths):
            if path == root:
                return True
            if path.startswith(os.path.join(root, "")):
                return self._selection.takes(as_id(os.path.relpath(path, root)))
        return False

    def concerns(self, path: AnyPath) -> bool:
        """Say whether a change of a path may change what is read.

        Args:
            path: Any path, absolute; nothing need be there any more.

        Returns:
            Whether it is one of the paths or below one, neither hidden nor excluded, and
            not of the index that is left out.
        """
        changed = os.fspath(path)
        for root in self._paths:
            # Who watches a folder may be told of its changes by either name.
            for name in (os.path.abspath(root), os.path.realpath(root)):
                if changed == name:
                    return True
                if changed.startswith(os.path.join(name, "")):
                    inside = os.path.relpath(changed, name)
                    left_out = self._is_left_out(os.path.join(root, inside))
                    return not left_out and self._selection.enters(as_id(inside))
        return False

    def _files(self) -> Iterator[FoundFile | SkippedFile]:
        met: set[str] = set()
        for path in self._paths:
            for file in self._below(path) if os.path.isdir(path) else [self._found(path)]:
                if not self._is_left_out(file.path) and file.id not in met:
                    if len(self._paths) > 1:
                        met.add(file.id)
                    yield file

    def _below(self, folder: str) -> Iterator[FoundFile | SkippedFile]:
        for relative, reason in walk(folder, self._selection):
            path = os.path.join(folder, relative)
            if reason is None:
                yield FoundFile(path, self._id(path), readable(path))
            else:
                yield SkippedFile(readable(path), f"{readable(path)}: {reason}", self._id(path))

    def _found(self, path: str) -> FoundFile:
        return FoundFile(path, self._id(path), readable(path), named=True)

    def _id(self, path: str) -> str:
        return as_id(os.path.relpath(path, self._base))

    def _is_left_out(self, path: str) -> bool:
        whole = os.path.abspath(path)
        if self._leave_out is None or not whole.startswith(self._leave_out):
            return False
        return _BESIDE.fullmatch(whole, len(self._leave_out)) is not None

    def _nothing_read(self) -> None:
        super()._nothing_read()
        if not self._allow_empty:
            shown = ", ".join(map(readable, self._paths))
            message = f"{shown}: no file to read."
            raise ReadError(message, path=readable(self._paths[0]))
