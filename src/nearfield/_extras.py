"""The one door to optional libraries."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nearfield.errors import MissingDependencyError

if TYPE_CHECKING:
    from types import ModuleType

# Works from a clone; becomes 'pip install "nearfield[{extra}]"' with the first release.
INSTALL_COMMAND = 'pip install ".[{extra}]"'


def install_hint(extra: str) -> str:
    """Give the exact command that installs an extra.

    Args:
        extra: The extra's name, such as ``"torch"``.

    Returns:
        A shell command.
    """
    return INSTALL_COMMAND.format(extra=extra)


def require(module: str, *, extra: str, purpose: str | None = None) -> ModuleType:
    """Import an optional library, or say in one line how to get it.

    Args:
        module: The dotted name to import.
        extra: The nearfield extra that brings it.
        purpose: What needs it; the module's name when not given.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: The library, or one it needs, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        install = install_hint(extra)
        missing = (error.name or module).partition(".")[0]
        message = f"{purpose or module} needs {missing!r}, which is not installed. Run: {install}"
        raise MissingDependencyError(message, extra=extra, install=install) from error
