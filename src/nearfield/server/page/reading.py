"""How a model reads a text: its prompt, its tokens, and what it never sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfield.core.embeddings import BaseEmbedding
    from nearfield.core.embeddings.base import InputType

SHOWN_TOKENS = 2048

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as a model reads it.

    Attributes:
        prompt: What is put before it.
        tokens: How many tokens there are before anything is cut, prompt and specials
            included; ``None`` when the model's tokenizer is not at hand.
        max_tokens: How many the model reads; ``None`` without a known limit.
        cut: The characters of the text that it does not read, first and one past the last;
            ``None`` when it reads all.
        spans: The characters of each of the first 2,048 tokens of the text itself.
        exact: Whether the counts are the model's own.
    """

    prompt: str
    tokens: int | None
    max_tokens: int | None
    cut: Span | None
    spans: list[Span]
    exact: bool


def prompt_of(model: BaseEmbedding, input_type: InputType) -> str:
    """Give what a model puts before texts of a kind; ``""`` for one that does not say."""
    prompts = getattr(model, "applied_prompts", None)
    return "" if prompts is None else str(prompts.of(input_type))


def read(model: BaseEmbedding, text: str, input_type: InputType) -> Reading:
    """Tell how a model reads a text.

    Args:
        model: The model.
        text: Any text.
        input_type: ``"query"`` or ``"document"``.

    Returns:
        The reading.
    """
    prompt, measure = prompt_of(model, input_type), model.measure
    if measure is None:
        return Reading(prompt, None, model.max_tokens, None, [], exact=False)
    # Read together: the border of prompt and text may fall inside a token.
    places = measure.offsets([prompt + text])[0]
    cut = None
    if model.max_tokens is not None:
        over = len(places) - (model.max_tokens - measure.special_tokens)
        if over > 0 and getattr(measure, "cuts_left", False):
            cut = (0, _place(int(places[over][0]), prompt, text))
        elif over > 0:
            cut = (_place(int(places[-over][0]), prompt, text), len(text))
    own = places[places[:, 1] > len(prompt)][:SHOWN_TOKENS]
    spans = [(_place(int(a), prompt, text), _place(int(b), prompt, text)) for a, b in own]
    return Reading(
        prompt, len(places) + measure.special_tokens, model.max_tokens, cut, spans, measure.exact
    )


def _place(place: int, prompt: str, text: str) -> int:
    """Give a place in prompt and text as one in the text."""
    return min(max(place - len(prompt), 0), len(text))
