"""What the graph backends share: feeding a graph and making vectors of what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nearfield.core.vectors import normalize
from nearfield.errors import ModelLoadError
from nearfield.runtime.padded import finish, pad, padded_batches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nearfield.core.vectors import Vectors
    from nearfield.runtime.pooling import Head

# Where a graph gives the vector of a text, and where the states of its tokens.
POOLED = ("sentence_embedding",)
STATES = ("last_hidden_state", "token_embeddings")
KNOWN_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
TOKENS_PER_BATCH = 1024


@dataclass(frozen=True, slots=True)
class GraphInput:
    """What a graph asks for.

    Attributes:
        name: The input's name.
        dtype: int32 or int64.
    """

    name: str
    dtype: np.dtype[Any]


class Graph(Protocol):
    """A graph some library runs; safe to run from several threads."""

    name: str
    inputs: list[GraphInput]
    outputs: list[str]

    def run(self, feeds: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """Run the graph and give one of its outputs."""


class GraphEngine:
    """An engine over a graph; pooling is done here unless the graph does it.

    Args:
        graph: The graph.
        head: What follows the encoder.
        config: The transformer's config, for the padding token.
        batch_texts: The most texts in a batch; by tokens alone when ``None``.

    Raises:
        ModelLoadError: The graph asks for something else than tokens, or gives nothing usable.
    """

    def __init__(
        self,
        graph: Graph,
        head: Head,
        config: Mapping[str, Any],
        *,
        batch_texts: int | None = None,
    ) -> None:
        self.name = graph.name
        self._graph = graph
        self._head = head
        self._padding = int(config.get("pad_token_id") or 0)
        self._batch_texts = batch_texts
        strange = sorted({entry.name for entry in graph.inputs} - KNOWN_INPUTS)
        if strange:
            message = (
                f"The {graph.name} graph asks for {strange[0]!r}, not a text encoder's input. "
                "Use backend='torch'."
            )
            raise ModelLoadError(message)
        self._output = self._choose_output()
        self._pooled = self._output in POOLED
        width = self._run([[0, 0]]).shape[-1]
        if self._pooled:  # all modules are inside: only cutting and scaling are left
            self._head = replace(head, pooling=head.pooling[:1], dense=())
        self.dim = self._head.dim(width)

    def encode(self, token_ids: Sequence[Sequence[int]], *, prompt_tokens: int = 0) -> Vectors:
        """Compute the vectors of texts; see ``Engine.encode``."""
        vectors = np.empty((len(token_ids), self.dim), np.float32)
        batches = padded_batches(token_ids, texts=self._batch_texts, tokens=TOKENS_PER_BATCH)
        for numbers in batches:
            rows = [token_ids[number] for number in numbers]
            output = self._run(rows)
            if self._pooled:
                cut = output[:, : self.dim].astype(np.float32)
                vectors[numbers] = normalize(cut) if self._head.normalize else cut
            else:
                vectors[numbers] = finish(output, rows, self._head, prompt_tokens=prompt_tokens)
        return vectors

    def _run(self, rows: Sequence[Sequence[int]]) -> NDArray[Any]:
        ids, mask = pad(rows, self._padding)
        values = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(ids),
        }
        feeds = {
            entry.name: values[entry.name].astype(entry.dtype, copy=False)
            for entry in self._graph.inputs
        }
        return self._graph.run(feeds, self._output)

    def _choose_output(self) -> str:
        # A prompt left out of the pooling can only be left out here.
        names = (*POOLED, *STATES) if self._head.include_prompt else (*STATES, *POOLED)
        found = next((name for name in names if name in self._graph.outputs), None)
        if found is None:
            message = (
                f"The {self.name} graph gives {', '.join(self._graph.outputs)}; one of "
                f"{', '.join(names)} was expected."
            )
            raise ModelLoadError(message)
        return found
