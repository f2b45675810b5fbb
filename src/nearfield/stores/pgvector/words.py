"""Search by words: BM25 over ``tsvector``, counted by PostgreSQL.

Words are compared without case or accents, by their English stem; none is left
out for being common. Scripts written without spaces (Chinese, Japanese, Thai,
...) are indexed by letters and by pairs of them, and searched by pairs. Where marks
part a word (in the scripts of India, for one), its parts are searched side by side.

The score is Okapi BM25 with ``k1 = 1.2`` and ``b = 0.75`` (Robertson and
Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond*, 2009), a
word in more than half of the texts counting next to nothing, never less.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nearfield.core.words import MARKS

if TYPE_CHECKING:
    from nearfield.stores.pgvector.conditions import Conditions
    from nearfield.stores.pgvector.schema import State

MAX_QUERY_WORDS = 256
MAX_WORD = 255
MAX_INDEXED = 300_000
"""Characters of a node's words that are indexed: a ``tsvector`` holds a megabyte."""
K1, B = 1.2, 0.75
LEAST_WEIGHT = 1e-6

_WITHOUT_SPACES = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese kana
    "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
_WORD = re.compile(rf"[{_WITHOUT_SPACES}]+|[^\W_{_WITHOUT_SPACES}]+")
_MARKED = re.compile(
    rf"[{_WITHOUT_SPACES}]+|[^\W_{_WITHOUT_SPACES}](?:[^\W_{_WITHOUT_SPACES}]|[{MARKS}])*"
)
_LETTER = re.compile(f"[{_WITHOUT_SPACES}]")

_ACCENT = re.compile("[\u0300-\u036f]")

_FIND = """
WITH asked AS (
    SELECT DISTINCT term FROM unnest(tsvector_to_array(to_tsvector('words', %(words)s))) term
), weighed AS (
    SELECT term, greatest(ln((%(nodes)s - n + 0.5) / (n + 0.5)), %(least)s) AS weight
    FROM asked, LATERAL (
        SELECT count(*)::float8 AS n FROM words WHERE words @@ quote_literal(term)::tsquery
    ) counted
    WHERE n > 0
)
SELECT found.row, sum(
    weight * cardinality(positions) * (%(k1)s + 1)
    / (cardinality(positions) + %(k1)s * (1 - %(b)s + %(b)s * length / %(mean)s))
    ORDER BY term
) AS score
FROM words AS found
CROSS JOIN LATERAL unnest(found.words) AS u (lexeme, positions, weights)
JOIN weighed ON term = lexeme
WHERE found.words @@ (
    SELECT string_agg(phrase::text, ' | ')::tsquery
    FROM unnest(%(phrases)s::text[]) given, phraseto_tsquery('words', given) phrase
    WHERE numnode(phrase) > 0
){among}
GROUP BY found.row ORDER BY score DESC, found.row LIMIT %(k)s
"""


def words_of(text: str) -> tuple[str, int]:
    """Give a text's words as they are indexed.

    Args:
        text: Any text.

    Returns:
        The words with spaces between, and how many they are.
    """
    words: list[str] = []
    size = 0
    for match in _WORD.finditer(_plain(text)):
        run = match[0]
        some = [*run, *map("".join, pairwise(run))] if _LETTER.match(run) else [run[:MAX_WORD]]
        size += sum(map(len, some)) + len(some)
        if size > MAX_INDEXED:
            break
        words += some
    return " ".join(words), len(words)


def asked_phrases(text: str) -> list[str]:
    """Give the words of a question: its first 256 different ones, each as its parts."""
    phrases: dict[str, None] = {}
    for match in _MARKED.finditer(_plain(text)):
        run = match[0]
        if _LETTER.match(run) and len(run) > 1:
            pairs = ["".join(pair) for pair in pairwise(run)]
            # PostgreSQL takes a mark off its letter, which alone would find next to anything.
            letters = [pair for pair in pairs if pair.isalnum()]
            phrases.update((pair, None) for pair in letters or pairs)
        else:
            phrases[" ".join(part[:MAX_WORD] for part in _WORD.findall(run))] = None
        if len(phrases) >= MAX_QUERY_WORDS:
            break
    return list(phrases)[:MAX_QUERY_WORDS]


def find_words(
    connection: Any, state: State, text: str, k: int, conditions: Conditions | None
) -> list[tuple[int, float]]:
    """Rank rows by the words of a text.

    Args:
        connection: A connection within a transaction.
        state: Of the version it sees.
        text: Any text; none of its words is an operator.
        k: How many rows, at least 1.
        conditions: On the nodes' facts.

    Returns:
        Rows with at least one of the words, with their BM25 score, best
        first; equal scores in the order of writing.
    """
    phrases = asked_phrases(text)
    if not phrases or not state.nodes:
        return []
    among, bound = "", {}
    if conditions is not None:
        among = f" AND found.row IN (SELECT row FROM nodes WHERE {conditions.sql})"  # noqa: S608
        bound = conditions.values
    values: dict[str, Any] = {
        "words": " ".join(phrases), "phrases": phrases, "nodes": float(state.nodes),
        "least": LEAST_WEIGHT, "k1": K1, "b": B,
        "mean": max(state.words / state.nodes, 1e-9), "k": k,
    }  # fmt: skip
    found = connection.execute(_FIND.replace("{among}", among), {**values, **bound})
    return [(int(row), float(score)) for row, score in found]


def _plain(text: str) -> str:
    """Take case, accents and what PostgreSQL cannot hold off a text."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _ACCENT.sub("", apart)).encode("utf-8", "replace").decode()
