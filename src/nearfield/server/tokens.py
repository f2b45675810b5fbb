"""Arrays of token numbers, as OpenAI's clients send texts, back into texts."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfield._extras import require
from nearfield.errors import MissingDependencyError
from nearfield.server.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

ENCODING = "cl100k_base"
_DATA = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
_FOLDERS = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")  # in the order in which tiktoken looks
_WAY_OUT = "Send texts instead: in LangChain, OpenAIEmbeddings(check_embedding_ctx_length=False)."


def decode(arrays: Sequence[Sequence[int]]) -> list[str]:
    """Turn OpenAI's token numbers into the texts they stand for.

    Args:
        arrays: One list of cl100k_base numbers a text.

    Returns:
        The texts; half a character at an end becomes U+FFFD.

    Raises:
        Refusal: A number is none of the encoding's, or its data is not on this machine.
    """
    encoding = _encoding()
    if encoding is None:
        message = f"This server has no data to read token numbers ({ENCODING}) with. {_WAY_OUT}"
        raise Refusal(HTTPStatus.BAD_REQUEST, message, param="input")
    texts = []
    for number, tokens in enumerate(arrays):
        try:
            texts.append(encoding.decode(list(tokens)))
        except (KeyError, OverflowError):
            message = f"'input[{number}]' holds a number that is no token of {ENCODING}. {_WAY_OUT}"
            raise Refusal(HTTPStatus.BAD_REQUEST, message, param="input") from None
    return texts


@cache
def _encoding() -> Any:
    """Give the encoding, or ``None`` where its data would have to be fetched first."""
    try:
        tiktoken = require("tiktoken", extra="server", purpose="Reading token numbers")
    except MissingDependencyError:
        return None
    if ENCODING in tiktoken.registry.ENCODINGS or _data_file().is_file():
        return tiktoken.get_encoding(ENCODING)
    return None


def _data_file() -> Path:
    """Give where tiktoken keeps the encoding's data."""
    folder = next((os.environ[name] for name in _FOLDERS if name in os.environ), None)
    if folder is None:
        folder = os.path.join(tempfile.gettempdir(), "data-gym-cache")  # noqa: PTH118 - as tiktoken
    return Path(folder) / hashlib.sha1(_DATA.encode(), usedforsecurity=False).hexdigest()
