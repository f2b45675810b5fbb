"""Opening an index for a command, with the words a person needs when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.core.index import VectorStoreIndex
    from nearfield.stores.sqlite import SQLiteStore


def open_to_read(path: Path, model: str | None = None) -> VectorStoreIndex:
    """Open an index that exists, for reading only.

    Args:
        path: Its file.
        model: The model's name, when the index cannot tell or must not choose.

    Returns:
        The index.

    Raises:
        click.ClickException: There is no such file.
        StoreError: It is damaged, or made by another model.
    """
    check_there(path)
    from nearfield.core import VectorStoreIndex  # noqa: PLC0415

    return VectorStoreIndex.open(path, embed_model=model, read_only=True)


def open_file(path: Path, *, read_only: bool = True) -> SQLiteStore:
    """Open an index's file alone, for which no model is needed.

    Args:
        path: The file.
        read_only: Whether to refuse writing.

    Returns:
        The store in it.

    Raises:
        click.ClickException: There is no such file.
        StoreError: It is damaged.
    """
    check_there(path)
    from nearfield.stores.sqlite import SQLiteStore  # noqa: PLC0415

    return SQLiteStore(path, create=False, read_only=read_only)


def check_there(path: Path) -> None:
    """Refuse an index that is not there.

    Args:
        path: Its file.

    Raises:
        click.ClickException: There is no such file.
    """
    if not path.exists():
        message = f"There is no index at {path}. Make one: nearfield index FOLDER --index {path}"
        raise click.ClickException(message)
