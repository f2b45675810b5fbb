"""``SimpleDirectoryReader``: the files of a folder as documents, under LlamaIndex's names."""

from __future__ import annotations

import os
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
    from nearfield.core.schema import Document

    AnyPath = str | os.PathLike[str]


class SimpleDirectoryReader(Reading):
    """Reads the text files of a folder, or files by name.

    A document's id is its file's path below ``input_dir`` (or as named in
    ``input_files``), so that reading again and refreshing an index changes only what
    changed. Rows of CSV files, JSON lines and items of JSON lists are documents of
    their own, with ids that end in ``#1``, ``#2`` ... Facts of the file are metadata,
    never part of the text. A file that cannot be read is skipped, and told in
    ``skipped`` and in the log.

    Files of two folders may have one id: :class:`~nearfield.core.readers.paths.PathReader` reads
    several folders into one index, with ids that tell them apart.

    Args:
        input_dir: The folder.
        input_files: Files, in place of a folder.
        exclude: Patterns of names or of paths below the folder that are not read; ``**/``
            stands for any folders or none.
        exclude_hidden: Leave out names below the folder that begin with a dot.
        exclude_empty: Leave out files without a byte.
        errors: What to do with bytes that are not in ``encoding``, as for :meth:`bytes.decode`.
        recursive: Read the folders in the folder as well.
        encoding: The encoding of all files; found out for each by default, and told in
            the metadata ``encoding`` when it is not UTF-8.
        filename_as_id: Accepted for LlamaIndex's sake: it is always so.
        required_exts: The endings that are read, in any case; all by default.
        file_extractor: By ending (``".pdf"``), a function from a path to a text, texts,
            a document or documents, or an object with LlamaIndex's ``load_data``.
        num_files_limit: The most files to read.
        file_metadata: A function from a path to further facts.
        raise_on_error: Stop at the first file that cannot be read.
        num_workers: Files read at once by :meth:`load_data`.
        max_bytes: The largest file that is read.

    Raises:
        ConfigError: Neither a folder nor files are named.
        ReadError: The folder, or a file named, is not there.
    """

    def __init__(
        self,
        input_dir: AnyPath | None = None,
        input_files: Sequence[AnyPath] | None = None,
        *,
        exclude: Sequence[str] | None = None,
        exclude_hidden: bool = True,
        exclude_empty: bool = False,
        errors: str = "strict",
        recursive: bool = False,
        encoding: str | None = None,
        filename_as_id: bool = True,  # noqa: ARG002 - LlamaIndex's keyword
        required_exts: Sequence[str] | None = None,
        file_extractor: Mapping[str, Extractor] | None = None,
        num_files_limit: int | None = None,
        file_metadata: Callable[[str], Mapping[str, Any]] | None = None,
        raise_on_error: bool = False,
        num_workers: int = 1,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        reader = FileReader(
            encoding=encoding,
            errors=errors,
            max_bytes=max_bytes,
            file_extractor=file_extractor or {},
            file_metadata=file_metadata,
        )
        super().__init__(reader, raise_on_error=raise_on_error, num_workers=num_workers)
        self._selection = Selection(
            tuple(required_exts or ()), tuple(exclude or ()), exclude_hidden, recursive
        )
        self._exclude_empty = exclude_empty
        self._limit = num_files_limit
        self._named = [os.path.normpath(path) for path in input_files or ()]
        self._folder = None if input_dir is None else os.fspath(input_dir)
        self._check_there(input_files)

    @property
    def input_files(self) -> list[str]:
        """The paths of the files that will be read; looked for at each call."""
        return [file.path for file in self._files() if isinstance(file, FoundFile)]

    def list_resources(self) -> list[str]:
        """Give the paths of the files that will be read, as LlamaIndex spells it."""
        return self.input_files

    def load_resource(self, resource_id: AnyPath) -> list[Document]:
        """Read one file, whatever the patterns say.

        Args:
            resource_id: Its path.

        Returns:
            Its documents.

        Raises:
            ReadError: It cannot be read.
        """
        return list(self._file_reader.documents(self._found(os.fspath(resource_id))))

    def _check_there(self, input_files: Sequence[AnyPath] | None) -> None:
        if input_files is None and self._folder is None:
            message = "SimpleDirectoryReader needs input_dir or input_files."
            raise ConfigError(message)
        missing = next((path for path in self._named if not os.path.exists(path)), None)
        if missing is not None:
            raise not_there("file", missing)
        if input_files is None and not os.path.isdir(self._folder or ""):
            raise not_there("folder", self._folder or "")

    def _files(self) -> Iterator[FoundFile | SkippedFile]:
        count = 0
        for file in self._candidates():
            if isinstance(file, FoundFile):
                if self._exclude_empty and _is_empty(file.path):
                    continue
                if self._limit is not None and count >= self._limit:
                    return
                count += 1
            yield file

    def _candidates(self) -> Iterator[FoundFile | SkippedFile]:
        if self._named or self._folder is None:
            yield from (self._found(path) for path in self._named)
            return
        for relative, reason in walk(self._folder, self._selection):
            path = os.path.join(self._folder, relative)
            if reason is None:
                yield FoundFile(path, as_id(relative), readable(path))
            else:
                yield SkippedFile(readable(path), f"{readable(path)}: {reason}", as_id(relative))

    def _found(self, path: str) -> FoundFile:
        below = path
        if self._folder is not None:
            inside = os.path.relpath(path, self._folder)
            below = path if inside.startswith(os.pardir) else inside
        return FoundFile(path, as_id(below), readable(path), named=True)

    def _nothing_read(self) -> None:
        super()._nothing_read()
        if self._folder is not None and not self._named:
            shown = readable(self._folder)
            advice = "" if self._selection.recursive else " recursive=True reads folders in it too."
            message = f"{shown!r} holds no file to read.{advice}"
            raise ReadError(message, path=shown)


def _is_empty(path: str) -> bool:
    try:
        return os.path.getsize(path) == 0
    except OSError:
        return False
