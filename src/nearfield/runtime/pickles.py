"""Weights that come as pickles, which can run code when they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nearfield.errors import ModelLoadError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_pickles(root: Path) -> None:
    """Refuse a folder that has weights only as pickles, in any of its modules.

    Raises:
        ModelLoadError: The message names the file.
    """
    for path in lone_pickles(root):
        message = (
            f"{path} is a pickle, which can run code when read, and there are no "
            "safetensors beside it; refused. Use a revision with safetensors, or "
            "trust_remote_code=True if you trust whoever made it."
        )
        raise ModelLoadError(message)


def lone_pickles(root: Path) -> tuple[Path, ...]:
    """Give the pickled weights of a folder that have no other form beside them."""
    return tuple(
        path
        for pattern in ("*.bin", "*.pt", "*.pkl", "*.ckpt")
        for path in sorted(root.rglob(pattern))
        if path.name != "training_args.bin"
        and not path.with_suffix(".xml").is_file()
        and not any(path.parent.glob("*.safetensors"))
    )
