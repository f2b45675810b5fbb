"""Whose turn it is: the pure order in which texts of many requests are read and computed.

Every text has a time at which it is due: the arrival of its request, and later by
the work of the texts before it in the same request. So a request of one short
text is due at once, also beside one of thousands, whose texts are due over the
time that it would take alone; and nothing waits for ever, for what is due does
not change. (Virtual clocks: Zhang, SIGCOMM 1990, https://doi.org/10.1145/99508.99525.)

Texts are computed together with those of about their own length: no short one
shares a batch with a long one, whose end it would have to wait for.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from nearfield.server.refusal import busy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable, Sequence

    from nearfield.core.embeddings import InputType
    from nearfield.core.vectors import Vectors

SHORT_TOKENS = 32
_WIDTH_BITS = 2  # a class of lengths ends at four times the one before: 32, 128, 512, ...


class Room:
    """What is waiting or computed, of all models together, and how much may be.

    Used by the event loop's thread alone.

    Args:
        max_requests: The most requests.
        max_texts: The most texts; a request alone may bring more.
    """

    def __init__(self, max_requests: int, max_texts: int) -> None:
        self.max_requests = max_requests
        self.max_texts = max_texts
        self.requests = 0
        self.texts = 0

    def enter(self, texts: int, retry_after_s: Callable[[], int]) -> None:
        """Take a request in.

        Args:
            texts: How many texts it has.
            retry_after_s: Estimates when there will be room.

        Raises:
            Refusal: There is no room; status 429.
        """
        full = self.requests >= self.max_requests
        if full or (self.texts and self.texts + texts > self.max_texts):
            raise busy("The server has as many requests as it can hold.", retry_after_s())
        self.requests += 1
        self.texts += texts

    def leave(self, texts: int) -> None:
        """Let a request out that was taken in."""
        self.requests -= 1
        self.texts -= texts


class Work:
    """A request on its way.

    Args:
        texts: Its texts, or lists of token numbers.
        input_type: Query or document.
        arrived: When it came, in seconds of the monotonic clock.
        future: Told when all is done, in the thread of its loop.

    Attributes:
        vectors: ``(n, dim)``, filled row by row.
        left: Rows still missing.
        tokens: Tokens read so far.
        cut: Tokens left out so far.
        gone: Whether nobody waits any more; what is left of it is dropped.
        error: Why it failed.
    """

    __slots__ = (
        "arrived",
        "cut",
        "error",
        "future",
        "gone",
        "input_type",
        "left",
        "picked",
        "texts",
        "tokens",
        "vectors",
    )

    vectors: Vectors

    def __init__(
        self,
        texts: Sequence[Any],
        input_type: InputType,
        arrived: float,
        future: asyncio.Future[None],
    ) -> None:
        self.texts = texts
        self.input_type = input_type
        self.arrived = arrived
        self.future = future
        self.left = len(texts)
        self.tokens = 0
        self.cut = 0
        self.gone = False
        self.picked = False
        self.error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A text ready to be computed.

    Attributes:
        work: The request it belongs to.
        row: Its number there.
        payload: What the model takes.
        tokens: Its length.
        group: What texts must share to be computed together.
    """

    work: Work
    row: int
    payload: Any
    tokens: int
    group: Hashable


@dataclass(frozen=True, slots=True)
class Piece:
    """Texts of a request that are yet to be read.

    Attributes:
        work: The request.
        start: The first text.
        end: One past the last.
        size: Its characters.
    """

    work: Work
    start: int
    end: int
    size: int


def cut_in_pieces(work: Work, *, texts: int, characters: int) -> list[Piece]:
    """Cut a request into pieces that are read one after the other.

    Args:
        work: The request.
        texts: The most texts in a piece.
        characters: The most characters in a piece, but for a longer text.
    """
    pieces: list[Piece] = []
    start = size = 0
    for number, text in enumerate(work.texts):
        length = len(text)
        if number > start and (number - start == texts or size + length > characters):
            pieces.append(Piece(work, start, number, size))
            start, size = number, 0
        size += length
    pieces.append(Piece(work, start, len(work.texts), size))
    return pieces


class Pieces:
    """Pieces yet to be read, those due first in front; not safe from several threads.

    Args:
        long_characters: A piece of more characters is long, and only one such is out at once.
    """

    def __init__(self, long_characters: int) -> None:
        self._long_characters = long_characters
        self._short: list[tuple[float, int, Piece]] = []
        self._long: list[tuple[float, int, Piece]] = []
        self._long_is_out = False
        self._number = count()

    def put(self, piece: Piece, due: float) -> None:
        """Add a piece."""
        heap = self._long if piece.size > self._long_characters else self._short
        heappush(heap, (due, next(self._number), piece))

    def take(self, pieces: int) -> list[Piece]:
        """Take what is due first: several pieces, or one long one; none when there is none.

        Args:
            pieces: The most pieces; those whose request is gone are dropped.
        """
        taken: list[Piece] = []
        # Until something is taken: who gets nothing here goes to sleep over what is left.
        while not taken and self:
            if self._long_first():
                piece = heappop(self._long)[2]
                if not piece.work.gone:
                    self._long_is_out = True
                    return [piece]
            while self._short and len(taken) < pieces:
                piece = heappop(self._short)[2]
                if not piece.work.gone:
                    taken.append(piece)
        return taken

    def done(self, pieces: Sequence[Piece]) -> None:
        """Hear that what :meth:`take` gave was read."""
        if pieces and pieces[0].size > self._long_characters:
            self._long_is_out = False

    def __bool__(self) -> bool:
        """Say whether there is something to take."""
        return bool(self._short) or (bool(self._long) and not self._long_is_out)

    def _long_first(self) -> bool:
        if not self._long or self._long_is_out:
            return False
        return not self._short or self._long[0] < self._short[0]


class Items:
    """Texts ready to be computed, by group and length; not safe from several threads.

    Attributes:
        texts: How many there are.
        tokens: Their tokens.
    """

    def __init__(self) -> None:
        self.texts = 0
        self.tokens = 0
        self._heaps: dict[tuple[Hashable, int], list[tuple[float, int, Item]]] = {}
        self._number = count()

    def put(self, item: Item, due: float) -> None:
        """Add a text."""
        key = (item.group, length_class(item.tokens))
        heappush(self._heaps.setdefault(key, []), (due, next(self._number), item))
        self.texts += 1
        self.tokens += item.tokens

    def take(self, texts: int, tokens: int) -> list[Item]:
        """Take the text that is due first, and others of its kind that are due next.

        Args:
            texts: The most texts.
            tokens: The most tokens of all, but for a first text that has more.

        Returns:
            At least one text unless there is none; those of requests that are gone are dropped.
        """
        taken: list[Item] = []
        while not taken and self._heaps:
            key = min(self._heaps, key=lambda name: self._heaps[name][0])
            heap, room = self._heaps[key], tokens
            while heap and len(taken) < texts and (not taken or heap[0][2].tokens <= room):
                item = heappop(heap)[2]
                self.texts -= 1
                self.tokens -= item.tokens
                if not item.work.gone:
                    taken.append(item)
                    room -= item.tokens
            if not heap:
                del self._heaps[key]
        return taken


def length_class(tokens: int) -> int:
    """Give the class of texts of about the same length.

    Args:
        tokens: The text's length.

    Returns:
        0 up to 32 tokens, 1 up to 128, 2 up to 512, and so on.
    """
    over = (max(tokens, 1) - 1) // SHORT_TOKENS
    return -(-over.bit_length() // _WIDTH_BITS)
