"""Every error nearfield raises, in one tree.

::

    NearfieldError
    ├── ConfigError (ValueError)
    │   ├── UnknownModelError
    │   └── UnknownProviderError
    ├── MissingDependencyError (ImportError)      .extra .install
    ├── EmbeddingError
    │   ├── ModelLoadError
    │   ├── InvalidVectorsError
    │   ├── InputTooLongError
    │   └── ProviderError      .status .code .param .request_id .retry_after_s .texts
    │       ├── AuthenticationError
    │       ├── BadRequestError
    │       ├── QuotaExceededError
    │       ├── RateLimitError                    retryable
    │       ├── ProviderTimeoutError (TimeoutError)   retryable
    │       └── ProviderUnavailableError          retryable
    ├── StoreError
    │   ├── DimensionMismatchError (ValueError)
    │   ├── ModelMismatchError
    │   ├── CorruptStoreError
    │   ├── StoreLockedError
    │   ├── StoreUnavailableError             retryable
    │   └── NotSupportedError
    └── ReadError (OSError)                       .path

Each message names the thing, the cause and the next step. ``retryable`` is a
fact of the class: the same call may succeed later without a change.
"""

from __future__ import annotations

from typing import Any, ClassVar


class NearfieldError(Exception):
    """The root of all errors raised on purpose by nearfield."""

    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross to another process whole: more arguments than the message are attributes."""
        return _made_again, (type(self), self.args, dict(self.__dict__))


def _made_again(
    kind: type[NearfieldError], arguments: tuple[Any, ...], attributes: dict[str, Any]
) -> NearfieldError:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(attributes)
    return error


class ConfigError(NearfieldError, ValueError):
    """A setting or an argument cannot be used as it is."""


class UnknownModelError(ConfigError):
    """No model answers to the given name."""


class UnknownProviderError(ConfigError):
    """No provider or store answers to the given name."""


class MissingDependencyError(NearfieldError, ImportError):
    """An optional library is not installed.

    Args:
        message: What is missing and for what.
        extra: The nearfield extra that brings the library.
        install: The exact command that installs it.
    """

    def __init__(self, message: str, *, extra: str, install: str) -> None:
        super().__init__(message)
        self.extra = extra
        self.install = install


class EmbeddingError(NearfieldError):
    """A text could not be turned into a vector."""


class ModelLoadError(EmbeddingError):
    """A model's files are absent, damaged, refused or not understood."""


class InvalidVectorsError(EmbeddingError):
    """A model gave vectors of the wrong count or length, or not finite."""


class InputTooLongError(EmbeddingError):
    """A text is longer than the model reads, and cutting it was forbidden."""


class ProviderError(EmbeddingError):
    """A remote provider refused or failed a request.

    Args:
        message: What failed, why, and what to do next; never a key.
        status: The HTTP status, or ``None`` when no answer came.
        code: The provider's own name for the cause, if it gave one.
        param: The field of the request at fault, if the provider said.
        request_id: The provider's own name for the request, if it gave one.
        retry_after_s: How long the provider asked to be left alone, if it did.
        texts: The texts that were refused, where it is known which.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        texts: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.texts = texts


class AuthenticationError(ProviderError):
    """The key is missing, wrong, or not allowed to do this."""


class BadRequestError(ProviderError):
    """The provider will never accept this request as it is."""


class QuotaExceededError(ProviderError):
    """The account has no credit left; waiting does not help."""


class RateLimitError(ProviderError):
    """Too many requests or tokens in too short a time."""

    retryable: ClassVar[bool] = True


class ProviderTimeoutError(ProviderError, TimeoutError):
    """The provider did not answer in the time allowed."""

    retryable: ClassVar[bool] = True


class ProviderUnavailableError(ProviderError):
    """The provider cannot be reached, or failed on its own side."""

    retryable: ClassVar[bool] = True


class StoreError(NearfieldError):
    """A vector store could not do what was asked."""


class DimensionMismatchError(StoreError, ValueError):
    """Vectors of one length met vectors of another."""


class ModelMismatchError(StoreError):
    """The index was made by another model than the one in use."""


class CorruptStoreError(StoreError):
    """The stored bytes are damaged or are not an index."""


class StoreLockedError(StoreError):
    """Another process is writing to the store."""


class StoreUnavailableError(StoreError):
    """The server of a store cannot be reached or left, or a file changed while it was read."""

    retryable: ClassVar[bool] = True


class NotSupportedError(StoreError):
    """The store has no such capability."""


class ReadError(NearfieldError, OSError):
    """A file or folder could not be read as text.

    Args:
        message: What is wrong with it and what to do next.
        path: The file or folder, as given.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path
