"""Files into documents, one by one or all at once: what all readers of files share."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING

from nearfield.core.progress import progress
from nearfield.core.readers.discovery import FoundFile, SkippedFile
from nearfield.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from nearfield.core.readers.file import FileReader
    from nearfield.core.schema import Document

    Outcome = tuple[list[Document], ReadError | None]

_log = logging.getLogger("nearfield.readers")
MOST_FILES_OF_A_PART = 256


class Reading(ABC):
    """Reads many files; one that cannot be read is skipped, and told in :attr:`skipped`.

    So is the rest of a file of records (rows, JSON lines) from a broken one on.

    Attributes:
        skipped: What the last reading passed over, and why.
    """

    def __init__(self, file_reader: FileReader, *, raise_on_error: bool, num_workers: int) -> None:
        self.skipped: list[SkippedFile] = []
        self._file_reader = file_reader
        self._raise_on_error = raise_on_error
        self._num_workers = num_workers

    @abstractmethod
    def _files(self) -> Iterator[FoundFile | SkippedFile]:
        """Find the files to read, in order, and what cannot be read."""

    def iter_data(self, show_progress: bool = False) -> Iterator[Document]:  # noqa: FBT001, FBT002 - LlamaIndex's
        """Read the files one by one, holding no more than one file's text at a time.

        Args:
            show_progress: Draw a bar on stderr, on a terminal only.

        Yields:
            The documents, in the order of the files.

        Raises:
            ReadError: There is nothing to read, nothing could be read, or, with
                ``raise_on_error``, a file could not.
        """
        self.skipped = []
        read = 0
        with progress(None, "reading", show=show_progress) as job:
            for file in self._files():
                try:
                    if isinstance(file, SkippedFile):
                        raise file.as_error()
                    yield from self._file_reader.documents(file)
                    read += 1
                except ReadError as error:
                    self._skip(file, error)
                job.advance()
        self._check(read)

    def load_data(
        self,
        show_progress: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's
        num_workers: int | None = None,
    ) -> list[Document]:
        """Read all files.

        Args:
            show_progress: Draw a bar on stderr, on a terminal only.
            num_workers: Files read at once; what the reader was made with by default.

        Returns:
            The documents, in the order of the files.

        Raises:
            ReadError: As for :meth:`iter_data`.
        """
        workers = self._num_workers if num_workers is None else num_workers
        if workers <= 1:
            return list(self.iter_data(show_progress=show_progress))
        self.skipped = []
        documents: list[Document] = []
        read = 0
        with progress(None, "reading", show=show_progress) as job:
            for file, (its, error) in self._at_once(workers):
                documents += its
                if error is None:
                    read += 1
                else:
                    self._skip(file, error)
                job.advance()
        self._check(read)
        return documents

    async def aload_data(
        self,
        show_progress: bool = False,  # noqa: FBT001, FBT002 - LlamaIndex's
        num_workers: int | None = None,
    ) -> list[Document]:
        """Read all files, as :meth:`load_data` does."""
        return await asyncio.to_thread(self.load_data, show_progress, num_workers)

    def count(self) -> int:
        """Give the number of files that will be read or skipped; they are looked for, not read."""
        return sum(1 for _ in self._files())

    def parts(self, size_bytes: int) -> Iterator[Part]:
        """Give readers of a few files each, which may be sent to other processes.

        Args:
            size_bytes: Of how many bytes of files a part is, about.

        Yields:
            The parts, in order; together they read what this reader reads.
        """
        files: list[FoundFile | SkippedFile] = []
        size = 0
        for found in self._files():
            # Another process may stand in another folder.
            file = found
            if isinstance(found, FoundFile):
                file = replace(found, path=os.path.abspath(found.path))
            files.append(file)
            with suppress(OSError):  # which reading it will tell
                size += os.path.getsize(file.path)
            if size >= size_bytes or len(files) >= MOST_FILES_OF_A_PART:
                yield Part(self._file_reader, files, raise_on_error=self._raise_on_error)
                files, size = [], 0
        if files:
            yield Part(self._file_reader, files, raise_on_error=self._raise_on_error)

    def _at_once(self, workers: int) -> Iterator[tuple[FoundFile | SkippedFile, Outcome]]:
        """Read several files at once, never far ahead of what is taken."""
        with ThreadPoolExecutor(workers, thread_name_prefix="nearfield-read") as pool:
            waiting: deque[tuple[FoundFile | SkippedFile, Future[Outcome]]] = deque()
            for file in self._files():
                waiting.append((file, pool.submit(copy_context().run, self._outcome, file)))
                if len(waiting) > 2 * workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            for done, future in waiting:
                yield done, future.result()

    def _outcome(self, file: FoundFile | SkippedFile) -> Outcome:
        documents: list[Document] = []
        if isinstance(file, SkippedFile):
            return documents, file.as_error()
        try:
            documents.extend(self._file_reader.documents(file))
        except ReadError as error:
            return documents, error  # and the records before a broken one
        return documents, None

    def _skip(self, file: FoundFile | SkippedFile, error: ReadError) -> None:
        if self._raise_on_error:
            raise error
        shown = file.path if isinstance(file, SkippedFile) else file.shown
        self.skipped.append(SkippedFile(shown, str(error), file.id))
        _log.info("skipped %s: %s", shown, error)

    def _check(self, read: int) -> None:
        if self.skipped:
            _log.warning(
                "%d of %d files were not read; the first: %s",
                len(self.skipped),
                read + len(self.skipped),
                self.skipped[0].reason,
            )
        if not read:
            self._nothing_read()

    def _nothing_read(self) -> None:
        """Say why there is nothing; overridden to name the place."""
        if self.skipped:
            first = self.skipped[0]
            message = f"None of {len(self.skipped)} files could be read; the first: {first.reason}"
            raise ReadError(message, path=first.path)


class Part(Reading):
    """Some of the files of a reader; see :meth:`Reading.parts`.

    Args:
        file_reader: Reads a file.
        files: Which.
        raise_on_error: Whether to stop at the first file that cannot be read.
    """

    def __init__(
        self,
        file_reader: FileReader,
        files: list[FoundFile | SkippedFile],
        *,
        raise_on_error: bool,
    ) -> None:
        super().__init__(file_reader, raise_on_error=raise_on_error, num_workers=1)
        self._listed = files

    def _files(self) -> Iterator[FoundFile | SkippedFile]:
        yield from self._listed

    def _nothing_read(self) -> None:
        """Take it as it is: there may be more to read in other parts."""
