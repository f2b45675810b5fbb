"""Opening an index for a command, with the words a person needs when there is none."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nearfield.cli.place import Place
    from nearfield.core.index import VectorStoreIndex


def open_to_read(place: Place, model: str | None = None) -> VectorStoreIndex:
    """Open an index that exists, for reading only.

    Args:
        place: Where it is.
        model: The model's name, when the index cannot tell or must not choose.

    Returns:
        The index.

    Raises:
        click.ClickException: There is none.
        StoreError: It is damaged, or made by another model.
    """
    check_there(place)
    from nearfield.core import VectorStoreIndex  # noqa: PLC0415

    return VectorStoreIndex.open(place.target, embed_model=model, read_only=True)


@contextmanager
def open_alone(place: Place, *, read_only: bool = True, needs: str | None = None) -> Iterator[Any]:
    """Open a store alone, for which no model is needed, and close it at the end.

    Args:
        place: Where it is.
        read_only: Whether to refuse writing.
        needs: A method beyond the contract that it must have, such as ``"verify"``.

    Yields:
        The store.

    Raises:
        click.ClickException: There is none, or it lacks the method.
        StoreError: It is damaged.
    """
    check_there(place)
    with closing(place.open(read_only=read_only)) as store:
        if needs is not None and not hasattr(store, needs):
            message = f"{place}: a store of this kind has no {needs}; its engine looks after that."
            raise click.ClickException(message)
        yield store


def check_there(place: Place) -> None:
    """Refuse an index that is not there.

    Args:
        place: Where it should be.

    Raises:
        click.ClickException: There is none.
    """
    if not place.exists:
        message = f"There is no index at {place}. Make one: nearfield index FOLDER --index {place}"
        raise click.ClickException(message)
