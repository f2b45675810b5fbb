"""Where an index is kept: opening, saving, and LlamaIndex's storage context over one file."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield.core.aside import in_thread
from nearfield.core.copying import copy_store
from nearfield.core.registry import STORES, find
from nearfield.errors import ConfigError, CorruptStoreError, StoreError

if TYPE_CHECKING:
    from nearfield.core.index import VectorStoreIndex
    from nearfield.core.registry import Registered
    from nearfield.core.store import VectorStore

DEFAULT_PERSIST_DIR = "./storage"
FILE_NAME = "index.nearfield"
_LOGS = ("-wal", "-shm", "-journal")
"""How SQLite names what it keeps beside a file."""
_SECRETS = re.compile(
    r"(?<=://)[^/?#]*@|(?<=[?&])(?P<name>[^=&]*(?:pass|token|secret|key)[^=&]*)=[^&#]*",
    re.IGNORECASE,
)
"""What an address may say that no message repeats."""


def open_store(target: str | os.PathLike[str], *, read_only: bool = False) -> VectorStore:
    """Open a store, or make a new one.

    Args:
        target: The path of a file, or ``"name://..."`` for a registered store.
        read_only: Refuse to change the index. A store in a file may still keep beside it
            what it derives for searching (a snapshot), where the folder allows that.

    Returns:
        The store.

    Raises:
        UnknownProviderError: No store has the name.
        StoreError: The file is no index, or cannot be opened.
    """
    registered, place = _registered(target)
    arguments = {registered.argument: place} if registered.argument else {}
    store: VectorStore = registered.load()(
        **arguments, **({"read_only": True} if read_only else {})
    )
    return store


def exists(target: str | os.PathLike[str]) -> bool:
    """Say whether there is an index at ``target``; where a store cannot tell, it is taken to be.

    Args:
        target: As for :func:`open_store`. A store tells by a static method ``exists``,
            which gets what its constructor would.
    """
    if "://" not in os.fspath(target):
        return Path(target).exists()
    registered, place = _registered(target)
    look = getattr(registered.load(), "exists", None)
    return look is None or bool(look(place))


def local_path(target: str | os.PathLike[str]) -> Path | None:
    """Give the path of an index on a disk of this machine.

    Args:
        target: As for :func:`open_store`.

    Returns:
        The path; ``None`` for a store in memory, on a server or in an object store.

    Raises:
        UnknownProviderError: No store has the name.
    """
    registered, place = _registered(target)
    return Path(place) if registered.argument == "path" and "://" not in place else None


def shown_place(target: str | os.PathLike[str]) -> str:
    """Give a place for a message: an address without user, password and keys.

    Args:
        target: As for :func:`open_store`.
    """
    text = os.fspath(target)
    if "://" not in text:
        return text
    return _SECRETS.sub(lambda found: f"{found['name']}=***" if found["name"] else "***@", text)


def _registered(target: str | os.PathLike[str]) -> tuple[Registered, str]:
    """Give the store that an address names, and what its constructor gets of the address."""
    text = os.fspath(target)
    name, separator, rest = text.partition("://")
    if not separator:
        return STORES["sqlite"], text
    registered = find("stores", name)
    return registered, text if registered.whole else rest


def save_store(store: VectorStore, path: str | os.PathLike[str]) -> None:
    """Copy a store into a file, which is replaced whole or not at all.

    Args:
        store: The store to read.
        path: Where to; an index that is there is replaced.

    Raises:
        ConfigError: A file is there that is no index, or the store itself lives there.
        StoreError: The file cannot be written, or documents were changed meanwhile.
    """
    goal = Path(path)
    _check_replaceable(store, goal)
    goal.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that the rename is one step of the file system.
    work = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}.tmp")
    try:
        written = open_store(work)
        try:
            copy_store(store, written)
        finally:
            written.close()
        _check_whole(work, goal)
        _put(work, goal)
    finally:
        for left in goal.parent.glob(f"{work.name}*"):
            left.unlink(missing_ok=True)


def _check_whole(work: Path, goal: Path) -> None:
    """Refuse a file whose log is still there: SQLite is silent where closing cannot move it."""
    log = work.with_name(f"{work.name}-wal")
    if log.exists() and log.stat().st_size:
        message = (
            f"{str(goal)!r} was not written: what was copied does not fit on its disk. "
            "Free some space and save again; what was there before is as it was."
        )
        raise StoreError(message)


def _put(work: Path, goal: Path) -> None:
    """Bring a finished index to its place, whatever is there."""
    if goal.exists():
        # A rename would leave the old log to be played over the new file, and tear it from
        # under whoever has it open.
        there: Any = open_store(goal)
        try:
            there.take_over(work)
        finally:
            there.close()
        return
    for ending in _LOGS:  # of a file that is gone
        goal.with_name(f"{goal.name}{ending}").unlink(missing_ok=True)
    work.replace(goal)
    sync_folder(goal.parent)


def _check_replaceable(store: VectorStore, goal: Path) -> None:
    if not goal.exists():
        return
    own = getattr(store, "path", None)
    if own is not None and Path(own).exists() and goal.samefile(own):
        message = f"The index already lives in {str(goal)!r}; every change is saved there at once."
        raise ConfigError(message)
    if goal.is_dir():
        message = f"{str(goal)!r} is a folder. Name a file in it."
        raise ConfigError(message)
    try:
        open_store(goal).close()
    except CorruptStoreError as error:
        message = f"{str(goal)!r} is there and is no index. Choose another name."
        raise ConfigError(message) from error


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where folders can be synced.

    Args:
        folder: The folder in which a file was renamed.
    """
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class StorageContext:
    """Where an index is kept, as LlamaIndex's users write it; one SQLite file underneath.

    Args:
        vector_store: The store.
    """

    def __init__(self, vector_store: VectorStore) -> None:
        self.vector_store = vector_store

    @classmethod
    def from_defaults(
        cls,
        persist_dir: str | os.PathLike[str] | None = None,
        vector_store: VectorStore | None = None,
    ) -> StorageContext:
        """Use a store, or the index of a folder, or memory.

        Args:
            persist_dir: A folder that :meth:`persist` wrote to.
            vector_store: A store.

        Returns:
            The context.

        Raises:
            ConfigError: Both are given.
            StoreError: The folder holds no index.
        """
        if vector_store is not None and persist_dir is not None:
            message = "Pass persist_dir or vector_store, not both: a store knows its own place."
            raise ConfigError(message)
        if vector_store is not None:
            return cls(vector_store)
        if persist_dir is None:
            return cls(open_store("memory://"))
        file = Path(persist_dir) / FILE_NAME
        if not file.exists():
            message = (
                f"There is no index in {str(persist_dir)!r}. "
                "Make one with index.storage_context.persist(persist_dir=...)."
            )
            raise StoreError(message)
        return cls(open_store(file))

    def persist(self, persist_dir: str | os.PathLike[str] = DEFAULT_PERSIST_DIR) -> None:
        """Keep the index in a folder; what was there is replaced whole or not at all.

        Args:
            persist_dir: The folder; made when missing.

        Raises:
            StoreError: It cannot be written.
        """
        file = Path(persist_dir) / FILE_NAME
        own = getattr(self.vector_store, "path", None)
        if own is not None and file.exists() and file.samefile(own):
            return  # it lives there: every change is saved already
        save_store(self.vector_store, file)

    async def apersist(self, persist_dir: str | os.PathLike[str] = DEFAULT_PERSIST_DIR) -> None:
        """Keep the index in a folder, as :meth:`persist` does."""
        await in_thread(self.persist, persist_dir)


def load_index_from_storage(
    storage_context: StorageContext, embed_model: Any = None
) -> VectorStoreIndex:
    """Give the index that a storage context holds.

    Args:
        storage_context: From ``StorageContext.from_defaults(persist_dir=...)``.
        embed_model: The model that made it; found by itself when it was the bundled
            one, a local one, or the one in the settings.

    Returns:
        The index.

    Raises:
        ModelMismatchError: Another model made it.
    """
    from nearfield.core.index import VectorStoreIndex  # noqa: PLC0415 - the index knows this module

    return VectorStoreIndex.from_vector_store(storage_context.vector_store, embed_model)
