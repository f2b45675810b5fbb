"""The bodies of the public API, as the OpenAPI document shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nearfield.wire.openai import MAX_INPUTS


class _Body(BaseModel):
    """A request's body; unknown fields are ignored, as OpenAI's server does."""

    model_config = ConfigDict(strict=True, protected_namespaces=())


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class EmbeddingsBody(_Body):
    """Texts to embed."""

    model: Annotated[str, Field(min_length=1, description="The name of a model.")]
    input: Annotated[
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
        | Tokens
        | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_INPUTS)],
        Field(description="A text, texts, or texts as cl100k_base token numbers."),
    ]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[
        int | None, Field(ge=1, description="Numbers a vector, where the model allows it.")
    ] = None
    user: str | None = None
    input_type: Annotated[
        Literal["document", "query"],
        Field(description="What the texts are, for models that treat them differently."),
    ] = "document"


class Usage(_Answer):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class Embedding(_Answer):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(_Answer):
    """Vectors, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Model(_Answer):
    """A model that requests can name."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "nearfield"


class Models(_Answer):
    """All models that requests can name."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(_Answer):
    """Whether requests are taken."""

    status: Literal["ready", "not ready"]


class ErrorDetail(_Answer):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(_Answer):
    """An error, in OpenAI's shape."""

    error: ErrorDetail


class SearchBody(_Body):
    """A question to the served index."""

    query: Annotated[str, Field(min_length=1)]
    top_k: Annotated[int, Field(ge=1, le=1000)] = 5
    mode: Literal["vector", "text", "hybrid"] = "vector"
    filters: Annotated[
        dict[str, Any] | None,
        Field(description="Conditions on metadata, such as {'year': 2020}."),
    ] = None


class SearchResult(_Answer):
    """A passage found."""

    object: Literal["search.result"] = "search.result"
    index: int
    score: float
    node_id: str
    document_id: str
    start: int
    end: int
    text: str
    metadata: dict[str, Any]


class SearchResults(_Answer):
    """Passages found, best first."""

    object: Literal["list"] = "list"
    data: list[SearchResult]
    model: str
    engine: str


class RerankText(BaseModel):
    """A text, as an object."""

    text: Text


class RerankBody(_Body):
    """Texts to rank by how well they answer a question."""

    model: Annotated[str | None, Field(description="A reranker; the first when not given.")] = None
    query: Text
    documents: Annotated[list[Text | RerankText], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int | None, Field(ge=1)] = None
    return_documents: bool = False


class RerankResult(_Answer):
    """A text's place."""

    index: int
    relevance_score: Annotated[float, Field(description="Higher is better; the model's scale.")]
    document: RerankText | None = None


class Reranked(_Answer):
    """Texts, best first."""

    object: Literal["rerank"] = "rerank"
    id: str
    model: str
    results: list[RerankResult]
