"""Requests of many clients, read and computed together by the threads of one model.

Any free thread takes the next step: it reads texts, or computes a batch of those that
are read. So reading goes on beside computing, and a step in C holds no other up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.vectors import as_matrix
from nearfield.errors import BadRequestError, ProviderError
from nearfield.server.refusal import Refusal, unavailable
from nearfield.server.schedule import Item, Items, Pieces, Work, cut_in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nearfield.core.embeddings import InputType
    from nearfield.core.vectors import Vectors
    from nearfield.server.config import Limits
    from nearfield.server.lane import Lane
    from nearfield.server.metrics import ModelMetrics
    from nearfield.server.schedule import Piece, Room

PIECE_TEXTS = 64
PIECE_CHARACTERS = 1 << 16
PIECES_AT_ONCE = 32
FIRST_TOKENS_PER_S = 10_000.0  # until it is measured
CHARACTERS_PER_TOKEN = 4


class Batcher:
    """The queue of one model, and the threads that work it off.

    Args:
        lane: How the model is driven.
        limits: How much is computed together.
        room: How much of all models may wait.
        metrics: What is counted.
        clock: Gives the time of arrivals, in seconds.
    """

    def __init__(
        self,
        lane: Lane,
        limits: Limits,
        room: Room,
        metrics: ModelMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lane = lane
        self._limits = limits
        self._room = room
        self._metrics = metrics
        self._wake = threading.Condition(threading.Lock())
        self._pieces = Pieces(PIECE_CHARACTERS)
        self._items = Items()
        self._computing = 0
        self._dim: int | None = None
        self._closing = False
        self._tokens_per_s = FIRST_TOKENS_PER_S
        self._works: set[Work] = set()
        self._threads = [
            threading.Thread(target=self._run, name=f"nearfield-serve-{number}", daemon=True)
            for number in range(lane.parallel + 1)
        ]
        for thread in self._threads:
            thread.start()

    # On the event loop.

    async def run(self, texts: Sequence[Any], input_type: InputType) -> Work:
        """Compute the vectors of a request, together with others'.

        A cancelled call leaves the queue; what of it is not begun is never computed.

        Args:
            texts: Texts, or lists of the model's own token numbers; at least one.
            input_type: Query or document.

        Returns:
            The request, done.

        Raises:
            Refusal: There is no room, or it took too long, or the server is stopping.
            EmbeddingError: A text could not be embedded.
        """
        self._room.enter(len(texts), lambda: max(1, round(self.backlog_s)))
        future = asyncio.get_running_loop().create_future()
        work = Work(texts, input_type, self._clock(), future)
        self._works.add(work)
        try:
            self._submit(work)
            await future
        except asyncio.CancelledError:
            self._metrics.count("dropped_texts", work.left)
            raise
        finally:
            work.gone = True
            self._works.discard(work)
            self._room.leave(len(texts))
        if work.error is not None:
            raise work.error
        return work

    def expire(self) -> None:
        """Fail the requests that have waited longer than they may."""
        before = self._clock() - self._limits.request_timeout_s
        for work in [work for work in self._works if work.arrived < before]:
            work.error = unavailable("The request waited too long for its turn.")
            _resolve([work])

    @property
    def backlog_s(self) -> float:
        """About how long what waits will take, in seconds."""
        return self._items.tokens / self._tokens_per_s

    def close(self) -> None:
        """Finish the steps begun, fail what waits, and end the threads."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        for work in self._works:
            work.error = unavailable("The server is being stopped.")
            _resolve([work])

    def _submit(self, work: Work) -> None:
        pieces = cut_in_pieces(work, texts=PIECE_TEXTS, characters=PIECE_CHARACTERS)
        due = work.arrived
        with self._wake:
            if self._closing:
                raise unavailable("The server is being stopped.")
            for piece in pieces:
                self._pieces.put(piece, due)
                due += piece.size / CHARACTERS_PER_TOKEN / self._tokens_per_s
            self._wake.notify(len(pieces))

    # In the threads.

    def _run(self) -> None:
        while True:
            with self._wake:
                while (step := self._next()) is None:
                    if self._closing:
                        return
                    self._wake.wait()
            step()

    def _next(self) -> Callable[[], None] | None:
        """Choose the next step; computing first, as long as enough is read to compute."""
        if self._closing:
            return None
        may_compute = self._items.texts and self._computing < self._lane.parallel
        few = self._items.texts < self._limits.batch_texts
        if self._pieces and (few or not may_compute):
            pieces = self._pieces.take(PIECES_AT_ONCE)
            if pieces:
                return partial(self._read, pieces)
        if may_compute:
            items = self._items.take(self._share(), self._limits.batch_tokens)
            if items:
                # A batch gets one thread, and waits for no other; all of them when it is alone.
                alone = not self._computing and not self._items.texts
                self._computing += 1
                return partial(self._compute, items, self._lane.parallel if alone else 1)
        return None

    def _share(self) -> int:
        """Give how many texts a batch may have, so that all threads that compute get some."""
        fair = -(-self._items.texts // self._lane.parallel)
        return min(self._limits.batch_texts, fair)

    def _read(self, pieces: list[Piece]) -> None:
        started = time.perf_counter()
        ready: list[tuple[Item, int]] = []
        failed: list[Work] = []
        for piece in pieces:
            work = piece.work
            try:
                read = self._lane.read(work.texts[piece.start : piece.end], work.input_type)
                group = self._lane.group(work.input_type)
            except Exception as error:  # noqa: BLE001 - it is the request's own
                self._fail(work, error, failed)
                continue
            rows = range(piece.start, piece.end)
            ready += (
                (Item(work, row, payload, tokens, group), cut)
                for row, payload, tokens, cut in zip(
                    rows, read.payloads, read.tokens, read.cut, strict=True
                )
            )
        self._metrics.time("tokenize", time.perf_counter() - started)
        self._metrics.count("truncated_tokens", sum(cut for _, cut in ready))
        with self._wake:
            self._pieces.done(pieces)
            for item, cut in ready:
                self._put(item, cut, failed)
            # This thread goes on with one batch; another is needed only for more.
            if self._items.texts > 1:
                self._wake.notify()
        _settle(failed)

    def _put(self, item: Item, cut: int, failed: list[Work]) -> None:
        work = item.work
        due = work.arrived + work.tokens / self._tokens_per_s
        work.tokens += item.tokens
        work.cut += cut
        if work.tokens > self._limits.max_request_tokens:
            most = self._limits.max_request_tokens
            message = f"The request has more than {most:,} tokens. Send fewer texts at once."
            self._fail(work, Refusal(HTTPStatus.BAD_REQUEST, message, param="input"), failed)
        elif not work.gone:
            self._items.put(item, due)

    def _compute(self, items: list[Item], threads: int) -> None:
        started, cpu = time.perf_counter(), time.thread_time()
        tokens = sum(item.tokens for item in items)
        now = self._clock()
        for item in items:
            if not item.work.picked:
                item.work.picked = True
                self._metrics.time("queue", now - item.work.arrived)
        failed: list[Work] = []
        rows = self._vectors(items, failed, threads)
        seconds = time.perf_counter() - started
        self._metrics.time("inference", seconds)
        self._metrics.batch(len(items), tokens)
        self._metrics.count("inference_cpu_seconds", time.thread_time() - cpu)
        self._metrics.count("texts", len(rows))
        self._metrics.count("tokens", tokens)
        self._metrics.count("failed_texts", len(items) - len(rows))
        done = failed
        with self._wake:
            self._computing -= 1
            rate = tokens * self._lane.parallel / threads / max(seconds, 1e-6)
            self._tokens_per_s += (rate - self._tokens_per_s) / 16
            for item, vector in rows:
                if _place(item, vector):
                    done.append(item.work)
        _settle(done)

    def _vectors(
        self, items: list[Item], failed: list[Work], threads: int
    ) -> list[tuple[Item, Vectors]]:
        """Compute a batch; when it fails, text by text, so that each request has its own fate."""
        try:
            matrix = self._matrix(items, threads)
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            if len(items) == 1 or _is_of_no_text(error):
                for item in items:
                    self._fail(item.work, error, failed)
                return []
            rows = []
            for item in items:
                if not item.work.gone:
                    rows += self._vectors([item], failed, threads)
            return rows
        return [(item, matrix[row : row + 1]) for row, item in enumerate(items)]

    def _matrix(self, items: list[Item], threads: int) -> Vectors:
        payloads = [item.payload for item in items]
        values = self._lane.compute(payloads, items[0].group, threads=threads)
        matrix = as_matrix(values, rows=len(items), dim=self._dim)
        self._dim = matrix.shape[1]
        return matrix

    @staticmethod
    def _fail(work: Work, error: BaseException, failed: list[Work]) -> None:
        if not work.gone:
            work.gone = True
            work.error = error
            failed.append(work)


def _is_of_no_text(error: Exception) -> bool:
    """Say whether a provider failed whatever the texts: no key, no credit, no answer."""
    return isinstance(error, ProviderError) and not isinstance(error, BadRequestError)


def _place(item: Item, vector: Vectors) -> bool:
    """Put a vector in its place; say whether it was the last one missing."""
    work = item.work
    if len(work.texts) == 1:
        work.vectors = vector
    else:
        if work.left == len(work.texts):
            work.vectors = np.empty((len(work.texts), vector.shape[1]), np.float32)
        work.vectors[item.row] = vector[0]
    work.left -= 1
    return work.left == 0


def _settle(works: list[Work]) -> None:
    """Tell the loops of requests that these are done."""
    for loop in {work.future.get_loop() for work in works}:
        mine = [work for work in works if work.future.get_loop() is loop]
        with suppress(RuntimeError):  # the loop has ended, and its clients with it
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(works: list[Work]) -> None:
    for work in works:
        if not work.future.done():
            work.future.set_result(None)
