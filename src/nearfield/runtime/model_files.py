"""Files of a model folder, opened with care: no way out of the folder, nothing half there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nearfield.errors import ModelLoadError, NearfieldError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def checked_file(root: Path, *parts: str) -> Path | None:
    """Find a file within a folder, links out of it refused.

    Args:
        root: The folder.
        parts: The file's place in it.

    Returns:
        Its path, or ``None`` when there is none.

    Raises:
        ModelLoadError: It leads out of the folder, or is a Git LFS pointer.
    """
    path = root.joinpath(*parts)
    if not path.is_file():
        if path.is_symlink():
            message = f"{path} is a link to nothing. Fetch the model again."
            raise ModelLoadError(message)
        return None
    real, home = path.resolve(), root.resolve()
    if not real.is_relative_to(home) and not real.is_relative_to(_blobs(home)):
        message = (
            f"{path} leads out of the model's folder, to {real}; refused. Copy the file there."
        )
        raise ModelLoadError(message)
    with path.open("rb") as file:
        if file.read(23) == b"version https://git-lfs":
            message = f"{path} is a Git LFS pointer, not the file. Run 'git lfs pull' in {root}."
            raise ModelLoadError(message)
    return path


def check_links(root: Path) -> None:
    """Refuse a folder that holds a link out of it, wherever it is.

    Raises:
        ModelLoadError: The message names the link.
    """
    for path in root.rglob("*"):
        if path.is_symlink() and path.is_file():
            checked_file(root, *path.relative_to(root).parts)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelLoadError: The file is cut short, damaged, or holds something else.
    """
    content = parsed_json(path)
    if not isinstance(content, dict):
        message = f"{path} does not hold a JSON object. Fetch it again."
        raise ModelLoadError(message)
    return content


def read_json_if_there(root: Path, *parts: str) -> dict[str, Any]:
    """Read a JSON object of a folder; an empty one when the file is not there.

    Raises:
        ModelLoadError: As for :func:`checked_file` and :func:`read_json`.
    """
    found = checked_file(root, *parts)
    return read_json(found) if found else {}


def _blobs(snapshot: Path) -> Path:
    """The folder a hub cache's snapshot links into; the snapshot itself if it is none."""
    if snapshot.parent.name == "snapshots":
        return snapshot.parent.parent / "blobs"
    return snapshot


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Let every error that a folder's content causes name the folder.

    A description may hold anything in any place; what arithmetic and loops make of that is
    of no use to who fetched the model.

    Args:
        folder: The model's folder.

    Raises:
        ModelLoadError: What is done within failed by what the folder holds.
    """
    try:
        yield
    except ModelLoadError as error:
        if str(folder) in str(error):
            raise
        message = f"{folder}: {error}"
        raise ModelLoadError(message) from error
    except NearfieldError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        message = f"{folder} describes its model in a way that makes no sense: {error}."
        raise ModelLoadError(message) from error


def parsed_json(path: Path) -> Any:
    """Read a JSON file of any kind; see :func:`read_json`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}."
        raise ModelLoadError(message) from error
    except ValueError as error:
        message = f"{path} is damaged or half downloaded: it is not JSON ({error}). Fetch it again."
        raise ModelLoadError(message) from error
