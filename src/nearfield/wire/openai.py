"""The JSON of the OpenAI embeddings API, both ways, as pure functions.

The providers write requests and read replies with it; the server reads
requests and writes replies with it. Nothing here opens a connection.
Reference: https://platform.openai.com/docs/api-reference/embeddings.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfield.errors import InvalidVectorsError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

MAX_INPUTS = 2048
"""The most texts in one request."""
MAX_REQUEST_TOKENS = 300_000
"""The most tokens in one request, all texts together."""
MAX_TEXT_TOKENS = 8192
"""The most tokens in one text."""

EncodingFormat = Literal["float", "base64"]

_BASE64_FLOATS = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """What a client asks for.

    Attributes:
        model: The model's name.
        inputs: Texts, or texts as token numbers; at least one.
        encoding_format: How the vectors are to be written.
        dimensions: Numbers per vector, or ``None`` for the model's own.
        user: The client's name for its user, if it gave one.
    """

    model: str
    inputs: list[str] | list[list[int]]
    encoding_format: EncodingFormat = "float"
    dimensions: int | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingsReply:
    """What a service answered.

    Attributes:
        vectors: ``(n, dim)`` float32, in the order of the request, finite.
        tokens: Tokens billed; 0 when the service does not say.
        model: The model that answered, as the service names it.
    """

    vectors: NDArray[np.float32]
    tokens: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error in OpenAI's shape.

    Attributes:
        message: What is wrong.
        type: The kind of error, such as ``"invalid_request_error"``.
        param: The field at fault.
        code: A stable name of the cause, such as ``"insufficient_quota"``.
    """

    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Give the body that says so."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


def embeddings_request(
    model: str,
    texts: Sequence[str],
    *,
    encoding_format: EncodingFormat = "base64",
    dimensions: int | None = None,
    user: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a request.

    Args:
        model: The model's name.
        texts: The texts, sent as they are.
        encoding_format: How the vectors are to come back; base64 is a quarter the size.
        dimensions: Numbers per vector; left out unless given.
        user: The caller's name for its user; left out unless given.
        extra: Further fields; they win over the others.

    Returns:
        The body, ready for JSON.
    """
    body: dict[str, Any] = {
        "model": model,
        "input": list(texts),
        "encoding_format": encoding_format,
    }
    if dimensions is not None:
        body["dimensions"] = dimensions
    if user is not None:
        body["user"] = user
    return {**body, **(extra or {})}


def read_embeddings_request(body: object) -> EmbeddingsRequest | ErrorReply:
    """Read a request that came in.

    Args:
        body: The parsed JSON. Unknown fields are ignored.

    Returns:
        The request, or the error to answer with status 400.
    """
    if not isinstance(body, dict):
        return ErrorReply("The body must be a JSON object.")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return ErrorReply("'model' must be the name of a model.", param="model")
    encoding: Any = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        return ErrorReply("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    dimensions = body.get("dimensions")
    if dimensions is not None and not (_is_int(dimensions) and dimensions >= 1):
        return ErrorReply("'dimensions' must be a whole number of at least 1.", param="dimensions")
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        return ErrorReply("'user' must be a string.", param="user")
    inputs = _read_inputs(body.get("input"))
    if isinstance(inputs, ErrorReply):
        return inputs
    return EmbeddingsRequest(model, inputs, encoding, dimensions, user)


def embeddings_reply(
    vectors: NDArray[np.float32],
    *,
    model: str,
    tokens: int,
    encoding_format: EncodingFormat = "float",
) -> dict[str, Any]:
    """Write a reply.

    Args:
        vectors: ``(n, dim)`` float32, in the order of the request.
        model: The model that made them.
        tokens: Tokens read.
        encoding_format: As the request asked.

    Returns:
        The body, ready for JSON.
    """
    rows: Sequence[Any]
    if encoding_format == "base64":
        little = np.ascontiguousarray(vectors, _BASE64_FLOATS)
        rows = [base64.b64encode(row.tobytes()).decode("ascii") for row in little]
    else:
        rows = vectors.tolist()
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": row}
            for index, row in enumerate(rows)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def read_embeddings_reply(
    content: bytes,
    *,
    count: int,
    dim: int | None = None,
    name: Callable[[int], str] = "vector {}".format,
) -> EmbeddingsReply:
    """Read a reply, checked: one finite vector per text, put in order, all of one length.

    Floats are read even where base64 was asked for, and the other way round:
    some servers know one of the two only.

    Args:
        content: The body.
        count: How many texts were sent.
        dim: How long the vectors must be, when known.
        name: Names the vector of a text, by the text's number, in errors.

    Returns:
        The vectors and what they cost.

    Raises:
        ProviderError: The body is not the JSON of an embeddings reply.
        InvalidVectorsError: Vectors are missing, too many, not finite or of another length.
    """
    body = _json_object(content)
    data = body.get("data")
    if not isinstance(data, list):
        message = f"The answer holds no list of vectors: {_excerpt(content)}. Check api_base."
        raise ProviderError(message, status=200)
    if len(data) != count:
        message = f"The service returned {len(data)} vectors for {count} texts."
        raise InvalidVectorsError(message)
    rows = _in_order(data)
    vectors = _matrix(rows, dim, name)
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    tokens = usage.get("total_tokens") or usage.get("prompt_tokens") or 0
    model = body.get("model")
    return EmbeddingsReply(
        vectors,
        tokens if _is_int(tokens) else 0,
        model if isinstance(model, str) else "",
    )


def read_error(content: object) -> ErrorReply:
    """Read an error body, however the server shaped it.

    Args:
        content: The body: bytes, text, or parsed JSON.

    Returns:
        What it says; the beginning of the body where it says nothing in a known way.
    """
    parsed = _parsed(content)
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else parsed
    if isinstance(error, str):
        return ErrorReply(_excerpt(error), "")
    if not isinstance(error, dict):
        return ErrorReply(_excerpt(content), "")
    message = error.get("message") or error.get("detail") or error.get("msg") or _excerpt(content)
    return ErrorReply(
        str(message),
        _text(error.get("type")) or "",
        _text(error.get("param")),
        _text(error.get("code")),
    )


def _read_inputs(inputs: object) -> list[str] | list[list[int]] | ErrorReply:
    if isinstance(inputs, str):
        inputs = [inputs]
    if not isinstance(inputs, list) or not inputs:
        return _bad_input("'input' must be a text, a list of texts, or token numbers.")
    if all(_is_int(item) for item in inputs):
        inputs = [inputs]
    if len(inputs) > MAX_INPUTS:
        return _bad_input(f"'input' holds {len(inputs)} texts; at most {MAX_INPUTS} are allowed.")
    if all(isinstance(item, str) for item in inputs):
        for number, text in enumerate(inputs):
            if not text:
                return _bad_input(f"'input[{number}]' is empty.")
        return inputs
    if all(_is_token_list(item) for item in inputs):
        return inputs
    return _bad_input("'input' must hold texts only, or lists of token numbers only.")


def _bad_input(message: str) -> ErrorReply:
    return ErrorReply(message, param="input")


def _is_token_list(item: object) -> bool:
    return isinstance(item, list) and bool(item) and all(_is_int(n) and n >= 0 for n in item)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        what = "a web page" if content.lstrip()[:1] == b"<" else "something that is not JSON"
        message = (
            f"The service answered with {what}: {_excerpt(content)}. "
            "Check api_base and whether a proxy answers in its place."
        )
        raise ProviderError(message, status=200) from error
    if not isinstance(body, dict):
        message = f"The answer is not a JSON object: {_excerpt(content)}. Check api_base."
        raise ProviderError(message, status=200)
    return body


def _in_order(data: list[Any]) -> list[Any]:
    """Put the vectors where their ``index`` says; as they come when none has one."""
    if any(not isinstance(item, dict) for item in data):
        number = next(n for n, item in enumerate(data) if not isinstance(item, dict))
        message = f"Entry {number} of the answer is {_excerpt(repr(data[number]))}, not a vector."
        raise InvalidVectorsError(message)
    if all(item.get("index") is None for item in data):
        return [item.get("embedding") for item in data]
    rows: list[Any] = [None] * len(data)
    seen = set()
    for item in data:
        index = item.get("index")
        if not _is_int(index) or not 0 <= index < len(data) or index in seen:
            message = f"The service numbered its vectors wrongly: index {index!r} of {len(data)}."
            raise InvalidVectorsError(message)
        seen.add(index)
        rows[index] = item.get("embedding")
    return rows


def _matrix(rows: list[Any], dim: int | None, name: Callable[[int], str]) -> NDArray[np.float32]:
    vectors = [_row(row, number, name) for number, row in enumerate(rows)]
    length = dim or (len(vectors[0]) if vectors else 0)
    matrix = np.empty((len(vectors), length), np.float32)
    for number, vector in enumerate(vectors):
        if len(vector) != length:
            message = (
                f"The service returned {len(vector)} numbers where {length} were expected, "
                f"for {name(number)}."
            )
            raise InvalidVectorsError(message)
        matrix[number] = vector
        if not np.isfinite(vector).all():
            message = f"The service returned NaN or infinity for {name(number)}."
            raise InvalidVectorsError(message)
    return matrix


def _row(row: object, number: int, name: Callable[[int], str]) -> NDArray[np.float32]:
    try:
        if isinstance(row, str) and row:
            return np.frombuffer(base64.b64decode(row, validate=True), _BASE64_FLOATS)
        if isinstance(row, list):
            with np.errstate(over="ignore"):
                vector = np.asarray(row, np.float32)
            if vector.ndim == 1 and vector.size:
                return vector
    except (binascii.Error, TypeError, ValueError, OverflowError) as error:
        raise InvalidVectorsError(_unreadable(row, number, name)) from error
    raise InvalidVectorsError(_unreadable(row, number, name))


def _unreadable(row: object, number: int, name: Callable[[int], str]) -> str:
    return f"The service returned {_excerpt(repr(row))} instead of numbers for {name(number)}."


def _parsed(content: object) -> object:
    if isinstance(content, (bytes, str)):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    return content


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _excerpt(content: object, length: int = 120) -> str:
    if isinstance(content, bytes):
        content = content[: 4 * length].decode("utf-8", "replace")
    text = " ".join(str(content)[: 4 * length].split())
    return text[:length] + ("..." if len(text) > length else "") if text else "an empty body"
