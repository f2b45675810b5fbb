"""Where providers and stores live: a name to an import path, one line each.

``core`` never imports what is above it; it reaches a provider or a store
through the string written here, at the moment it is asked for. Other
distributions add theirs by the entry points ``nearfield.embeddings``,
``nearfield.stores`` and ``nearfield.rerankers``; a built-in name always wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from nearfield.errors import ConfigError, UnknownProviderError


@dataclass(frozen=True, slots=True)
class Registered:
    """A provider or store, not yet imported.

    Attributes:
        target: ``"module:Class"``.
        summary: What it is, in a few words.
        argument: The keyword that takes what follows the colon of ``"name:..."``
            (or of ``"name://..."`` for a store); ``None`` when nothing may follow.
        tested: Against what our tests run it: ``"real"``, ``"loopback"`` or ``"no"``.
        whole: Whether ``argument`` takes ``"name://..."`` whole, as a server's address.
    """

    target: str
    summary: str
    argument: str | None = None
    tested: str = "real"
    whole: bool = False

    def load(self) -> Any:
        """Import the class.

        Returns:
            The class itself.

        Raises:
            MissingDependencyError: An optional library it needs is absent.
            ConfigError: An entry point names something that is not there.
        """
        module, _, name = self.target.partition(":")
        try:
            return getattr(import_module(module), name)
        except (AttributeError, ModuleNotFoundError) as error:
            if isinstance(error, ModuleNotFoundError) and error.name != module:
                raise
            message = f"{self.target!r} is registered but not there. Check its entry point."
            raise ConfigError(message) from error


_OURS = "nearfield.embeddings"

EMBEDDINGS: dict[str, Registered] = {
    "bundled": Registered(f"{_OURS}.bundled:BundledEmbedding", "the model inside the package"),
    "local": Registered(
        f"{_OURS}.huggingface:HuggingFaceEmbedding", "a Hugging Face model, run here", "model_name"
    ),
    "static": Registered(
        f"{_OURS}.static:StaticEmbedding", "a word-table model, run here", "model_name"
    ),
    "openai": Registered(f"{_OURS}.openai:OpenAIEmbedding", "OpenAI", "model", "loopback"),
    "azure": Registered(
        f"{_OURS}.azure_openai:AzureOpenAIEmbedding", "Azure OpenAI", "azure_deployment", "loopback"
    ),
    "openai-like": Registered(
        f"{_OURS}.openai_like:OpenAILikeEmbedding",
        "any OpenAI-like server",
        "model_name",
        "loopback",
    ),
    "langchain": Registered(f"{_OURS}.langchain:LangchainEmbedding", "any LangChain embeddings"),
    "llama-index": Registered(
        f"{_OURS}.llama_index:LlamaIndexEmbedding", "any LlamaIndex embedding"
    ),
    "instructor": Registered(
        f"{_OURS}.instructor:InstructorEmbedding", "Instructor models, run here", "model_name"
    ),
}

STORES: dict[str, Registered] = {
    "memory": Registered("nearfield.core.memory_store:MemoryStore", "in this process"),
    "sqlite": Registered("nearfield.stores.sqlite:SQLiteStore", "one file", "path"),
    "lance": Registered(
        "nearfield.stores.lance:LanceStore", "a Lance table: folder or object store", "path"
    ),
    "postgresql": Registered(
        "nearfield.stores.pgvector:PGVectorStore", "PostgreSQL with pgvector", "uri", whole=True
    ),
    "qdrant": Registered("nearfield.stores.qdrant:QdrantStore", "Qdrant", "place"),
    "milvus": Registered("nearfield.stores.milvus:MilvusStore", "Milvus", "place"),
}

RERANKERS: dict[str, Registered] = {
    "local": Registered(
        "nearfield.rerankers.huggingface:HuggingFaceReranker",
        "a cross-encoder, run here",
        "model_name",
    ),
}

READERS: dict[str, Registered] = {
    ".pdf": Registered("nearfield.readers.pdf:read_pdf", "a document per page"),
    ".docx": Registered("nearfield.readers.docx:read_docx", "paragraphs and tables"),
    ".pptx": Registered("nearfield.readers.pptx:read_pptx", "a document per slide"),
    ".xlsx": Registered("nearfield.readers.xlsx:read_xlsx", "a document per row"),
    ".epub": Registered("nearfield.readers.epub:read_epub", "a document per chapter"),
}
"""By ending, what gives the parts of a file that is no text."""

PAGE_TEXT = Registered("nearfield.readers.html:main_text", "the main text of a web page")

_GROUPS = {"embeddings": EMBEDDINGS, "stores": STORES, "rerankers": RERANKERS}


def find(kind: str, name: str) -> Registered:
    """Find a provider or store by name.

    Args:
        kind: ``"embeddings"``, ``"stores"`` or ``"rerankers"``.
        name: Its name.

    Returns:
        Where it lives.

    Raises:
        UnknownProviderError: Nobody registered the name; the message lists those that exist.
    """
    built_in = _GROUPS[kind].get(name)
    if built_in is not None:
        return built_in
    foreign = _entry_points(kind)
    if name in foreign:
        return foreign[name]
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake pays for it

    known = ", ".join(sorted({*_GROUPS[kind], *foreign}))
    near = get_close_matches(name, [*_GROUPS[kind], *foreign], 1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    message = f"Unknown {kind.removesuffix('s')} {name!r}.{meant} Known: {known}."
    raise UnknownProviderError(message)


def _entry_points(kind: str) -> dict[str, Registered]:
    # Imported here: reading the metadata of all installed packages costs 20 ms.
    from importlib.metadata import entry_points  # noqa: PLC0415

    argument = {"stores": "path"}.get(kind, "model_name")
    return {
        point.name: Registered(point.value, "installed plug-in", argument, "no")
        for point in entry_points(group=f"nearfield.{kind}")
    }
