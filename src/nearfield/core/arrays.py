"""numpy, loaded when it is first used.

Importing numpy takes longer than importing all of nearfield, and a program that
only names an index or a model has no use for it yet. Modules on the way to the
public names write::

    if TYPE_CHECKING:
        import numpy as np
    else:
        from nearfield.core.arrays import np
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class _Numpy:
    """Stands for numpy; every name is looked up there once."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module("numpy"), name)
        setattr(self, name, value)  # the next use finds it here, without this call
        return value


np = _Numpy()
"""numpy; the first attribute asked for imports it."""
