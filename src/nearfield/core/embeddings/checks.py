"""What a model's options may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from nearfield.errors import ConfigError

if TYPE_CHECKING:
    from nearfield.core.cache import EmbeddingCache

MAX_BATCH_SIZE = 2048


def checked_cache(cache: object) -> EmbeddingCache | None:
    """Refuse what cannot keep vectors.

    Args:
        cache: A cache; ``None`` or ``False`` for none.

    Returns:
        The cache, if there is one.

    Raises:
        ConfigError: It is something else.
    """
    if cache is None or cache is False:
        return None
    if not (hasattr(cache, "get_many") and hasattr(cache, "put_many")):
        message = f"cache must be an EmbeddingCache, or None for none, not {cache!r}."
        raise ConfigError(message)
    return cast("EmbeddingCache", cache)


def checked_workers(workers: int) -> int:
    """Refuse a number of batches at a time that makes no sense.

    Args:
        workers: The number.

    Returns:
        The same.

    Raises:
        ConfigError: It is not a whole number of at least 1.
    """
    if not isinstance(workers, int) or workers < 1:
        message = f"num_workers must be a whole number of at least 1, not {workers!r}."
        raise ConfigError(message)
    return workers


def checked_batch_size(size: int) -> int:
    """Refuse a number of texts in a batch that makes no sense.

    Args:
        size: The number.

    Returns:
        The same.

    Raises:
        ConfigError: It is not a whole number from 1 to 2,048.
    """
    if not isinstance(size, int) or not 1 <= size <= MAX_BATCH_SIZE:
        message = f"embed_batch_size must be between 1 and {MAX_BATCH_SIZE}, not {size!r}."
        raise ConfigError(message)
    return size
