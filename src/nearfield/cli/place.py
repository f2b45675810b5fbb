"""Where an index is, as a command is told: a file, or the address of another store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nearfield.core.storage import exists, local_path, shown_place

if TYPE_CHECKING:
    from nearfield.core.store import VectorStore


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or ``name://...``; as text it shows no password.

    Attributes:
        target: The path or the address, to be opened.
    """

    target: str

    @property
    def path(self) -> Path | None:
        """Its path; ``None`` when it is on no disk of this machine."""
        return local_path(self.target)

    @property
    def home(self) -> Path:
        """The folder from which the ids of files are counted.

        That of the index itself, so that both may be moved together; the root
        for an index elsewhere, so that no two files share an id.
        """
        path = self.path
        return Path(Path.cwd().anchor) if path is None else path.absolute().parent

    @property
    def exists(self) -> bool:
        """Whether there is an index, as far as can be told without opening it."""
        return exists(self.target)

    def open(self, *, read_only: bool = False) -> VectorStore:
        """Open the store, or make a new one.

        Args:
            read_only: Whether to refuse writing.

        Returns:
            The store.

        Raises:
            UnknownProviderError: No store has the name.
            StoreError: It is damaged, or cannot be opened.
        """
        from nearfield.core.storage import open_store  # noqa: PLC0415

        return open_store(self.target, read_only=read_only)

    def __str__(self) -> str:
        """Give it as it was written, without a password."""
        return shown_place(self.target)


class PlaceType(click.ParamType):  # type: ignore[type-arg]
    """Takes a place from the command line."""

    name = "FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """Give the place; refuse a folder where a file must be."""
        if isinstance(value, Place):
            return value
        text = str(value)
        if "://" not in text and Path(text).is_dir():
            self.fail(f"File {text!r} is a directory.", param, ctx)
        return Place(text)
