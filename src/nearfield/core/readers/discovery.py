"""Which files to read: a walk that stays inside its folder, whatever lies there.

Links found on the way are never followed: what they lead to inside the folder
is met by itself, or told to be left out, and what lies outside is not asked for. Pipes, sockets and
devices are passed over. The folder and the files that the caller names may be links.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nearfield.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_FOLDERS = re.compile(r"(?:(?<=/)|^)(?:\*\*/)+")
_MARK = "\ue000"
"""Stands for these folders while the rest of a pattern is translated, which leaves it alone."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that is to be read.

    Attributes:
        path: How to open it.
        id: The id of the document it becomes: a path with ``/``, always valid UTF-8.
        shown: Its path in metadata and messages.
        named: The caller named it, so that it may be a link.
    """

    path: str
    id: str
    shown: str
    named: bool = False


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file or folder that was not read.

    Attributes:
        path: Which, as in messages.
        reason: Why, in one sentence.
        id: The id its document would have had.
    """

    path: str
    reason: str
    id: str = ""

    def as_error(self) -> ReadError:
        """Give the reason as an error."""
        return ReadError(self.reason, path=self.path)


@dataclass(frozen=True)
class Selection:
    """Which of the files below a folder are wanted.

    Attributes:
        required_exts: Endings, in any case, with or without their dot; all when empty.
        exclude: Patterns of names or of paths below the folder (``*``, ``?``, ``[...]``, and
            ``**/`` for any folders or none); one that matches a folder leaves out all below it.
        exclude_hidden: Leave out names that begin with a dot; names above the folder
            do not count.
        recursive: Go into folders.
    """

    required_exts: Sequence[str] = ()
    exclude: Sequence[str] = ()
    exclude_hidden: bool = True
    recursive: bool = True

    def takes(self, relative: str) -> bool:
        """Say whether a file is wanted, by its path below the folder, with ``/``."""
        if self._endings and not relative.lower().endswith(self._endings):
            return False
        parts = relative.split("/")
        depths = range(1, len(parts) + 1)
        return (self.recursive or len(parts) == 1) and all(
            self.enters("/".join(parts[:depth])) for depth in depths
        )

    def enters(self, relative: str) -> bool:
        """Say whether a file or folder is neither hidden nor excluded by its own name or path."""
        name = relative.rpartition("/")[2]
        if self.exclude_hidden and name.startswith("."):
            return False
        return not any(pattern.match(name) or pattern.match(relative) for pattern in self._patterns)

    @cached_property
    def _endings(self) -> tuple[str, ...]:
        return tuple("." + ending.lower().removeprefix(".") for ending in self.required_exts)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        return [_compiled(os.fspath(pattern).replace(os.sep, "/")) for pattern in self.exclude]


def _compiled(pattern: str) -> re.Pattern[str]:
    """Give a pattern as an expression; ``**/`` stands for any number of folders, none included."""
    plain = pattern.removeprefix("./").rstrip("/")
    return re.compile(fnmatch.translate(_FOLDERS.sub(_MARK, plain)).replace(_MARK, "(?:.*/)?"))


def readable(path: str) -> str:
    """Give a path as text that can be written as UTF-8: other bytes are spelt out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def not_there(what: str, path: str) -> ReadError:
    """Give the error of a file or folder that was named and is not there."""
    shown = readable(path)
    advice = "Check the path; a relative one begins in the folder where the program was started."
    return ReadError(f"There is no {what} {shown!r}. {advice}", path=shown)


def as_id(path: str) -> str:
    """Give a path as an id: with ``/`` on every system, and valid UTF-8."""
    return readable(path).replace(os.sep, "/") if os.sep != "/" else readable(path)


def walk(root: str, selection: Selection) -> Iterator[tuple[str, str | None]]:
    """Find the wanted files below a folder.

    Args:
        root: The folder.
        selection: Which are wanted.

    Yields:
        Paths below the folder, in order of name, and ``None``; for what cannot be
        read, a reason in place of ``None``.

    Raises:
        ReadError: The folder itself is not there, or cannot be listed.
    """
    real_root = os.path.realpath(root)
    waiting = _listed(root, "", real_root, selection)
    while waiting:
        relative, is_folder, reason = waiting.pop()
        if not is_folder:
            yield relative, reason
            continue
        try:
            waiting.extend(_listed(root, relative, real_root, selection))
        except ReadError as error:
            yield relative, str(error)


def _listed(
    root: str, folder: str, real_root: str, selection: Selection
) -> list[tuple[str, bool, str | None]]:
    """Give what a folder holds, last first: path below the root, whether a folder, a reason."""
    path = os.path.join(root, folder)
    try:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        message = f"The folder cannot be listed: {error.strerror}."
        raise ReadError(message, path=readable(path)) from error
    listed: list[tuple[str, bool, str | None]] = []
    for entry in entries:
        relative = os.path.join(folder, entry.name)
        as_name = as_id(relative)
        if entry.is_dir(follow_symlinks=False):
            if selection.recursive and selection.enters(as_name):
                listed.append((relative, True, None))
        elif selection.takes(as_name):
            if entry.is_file(follow_symlinks=False):
                listed.append((relative, False, None))
            elif reason := _why_not(entry, real_root, selection):
                listed.append((relative, False, reason))
    return listed


def _why_not(entry: os.DirEntry[str], real_root: str, selection: Selection) -> str | None:
    """Say why something that is no plain file is not read; ``None`` when it needs no word."""
    if not entry.is_symlink():
        return "It is a pipe, a socket or a device, not a file."
    try:
        target = os.path.realpath(entry.path, strict=True)
    except OSError:
        return "It is a link that leads nowhere."
    if os.path.commonpath([real_root, target]) == real_root:
        if _is_met(target, real_root, selection):
            return None
        return "It is a link to what is left out of the folder. Name its target to have it read."
    return "It is a link that leads out of the folder. Name its target to have it read."


def _is_met(target: str, real_root: str, selection: Selection) -> bool:
    """Say whether what a link leads to needs no word: it is read by itself, or never would be."""
    inside = as_id(os.path.relpath(target, real_root))
    if not os.path.isdir(target):
        return selection.takes(inside)
    parts = inside.split("/")
    whole = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return not selection.recursive or inside == os.curdir or all(map(selection.enters, whole))
