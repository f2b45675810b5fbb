"""The two thin drivers that run a plan: one in threads, one on the event loop.

Both keep only so many batches under way as the model allows, and no finished one waiting,
so memory stays bounded. When a batch fails, no further one is begun, those under
way are finished and kept, and the first failure is raised: what was paid for is
not thrown away. A cancelled call stops at once instead; an interrupted one begins
no further batch either, and ends with those that threads have under way.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

from nearfield.core.aside import in_thread
from nearfield.core.progress import progress
from nearfield.core.vectors import as_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from nearfield.core.batching import Batch, Plan
    from nearfield.core.embeddings.base import BaseEmbedding, InputType
    from nearfield.core.vectors import Vectors

_keeper: ContextVar[Callable[[Sequence[str], Vectors], None] | None] = ContextVar(
    "nearfield_keeper", default=None
)


def keep_part(texts: Sequence[str], vectors: Vectors) -> None:
    """Keep vectors of a part of the batch in progress, whatever becomes of the rest.

    For models that compute a batch in several steps, each of which costs
    something. Goes to the model's cache; does nothing without one.

    Args:
        texts: Texts of the batch, as the model was given them.
        vectors: ``(len(texts), dim)`` float32, finite.
    """
    keeper = _keeper.get()
    if keeper is not None and len(texts):
        keeper(texts, as_matrix(vectors, rows=len(texts)))


def run_plan(
    model: BaseEmbedding, plan: Plan, input_type: InputType, *, show_progress: bool = False
) -> None:
    """Compute all batches of a plan, as many at a time as the model allows.

    Args:
        model: The model.
        plan: The plan, which takes the vectors.
        input_type: Query or document.
        show_progress: Draw a bar.
    """
    batches = plan.batches()
    workers = min(model._plan_workers(), len(batches))  # noqa: SLF001
    with (
        progress(len(plan.missing), "Embedding", show=show_progress) as bar,
        _keeping(model, input_type),
    ):

        def keep(batch: Batch, values: object) -> None:
            _keep(model, plan, batch, values, input_type)
            bar.advance(len(batch.texts))

        def compute(texts: Sequence[str]) -> object:
            return model._compute(texts, input_type)  # noqa: SLF001

        if workers <= 1:
            for batch in batches:
                keep(batch, compute(batch.texts))
            return
        _run_in_pool(workers, batches, compute, keep)


def _run_in_pool(
    workers: int,
    batches: list[Batch],
    compute: Callable[[Sequence[str]], object],
    keep: Callable[[Batch, object], None],
) -> None:
    from concurrent import futures  # noqa: PLC0415 - few models have workers

    running: dict[futures.Future[object], Batch] = {}
    waiting = iter(batches)
    failure: Exception | None = None
    pool = futures.ThreadPoolExecutor(workers, thread_name_prefix="nearfield-embed")
    try:
        ended: list[tuple[Batch, futures.Future[object]]] = []
        while True:
            # New work first: the workers must not wait while the last results are kept.
            while failure is None and len(running) < workers and (batch := next(waiting, None)):
                running[pool.submit(copy_context().run, compute, batch.texts)] = batch
            for batch, future in ended:
                try:
                    keep(batch, future.result())
                except Exception as error:  # noqa: BLE001 - raised below, when all have ended
                    failure = failure or error
            if not running:
                break
            done = futures.wait(running, return_when=futures.FIRST_COMPLETED).done
            ended = [(running.pop(future), future) for future in done]
            failure = failure or next((e for _, f in ended if (e := _failure(f))), None)
    except BaseException:  # Ctrl-C: what is under way cannot be stopped, but need not be awaited
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    if failure is not None:
        raise failure


def _failure(future: Future[object]) -> Exception | None:
    error = future.exception()
    return error if isinstance(error, Exception) else None


async def arun_plan(
    model: BaseEmbedding, plan: Plan, input_type: InputType, *, show_progress: bool = False
) -> None:
    """Compute all batches of a plan in tasks, as many at a time as the model allows.

    Args:
        model: The model.
        plan: The plan, which takes the vectors.
        input_type: Query or document.
        show_progress: Draw a bar.
    """
    import asyncio  # noqa: PLC0415 - whoever awaits this has imported it already

    batches = plan.batches()
    waiting = iter(batches)
    failures: list[Exception] = []
    with (
        progress(len(plan.missing), "Embedding", show=show_progress) as bar,
        _keeping(model, input_type),
    ):

        async def work() -> None:
            for batch in waiting:  # shared: each worker takes the next that nobody has
                try:
                    values = await model._acompute(batch.texts, input_type)  # noqa: SLF001
                    vectors = plan.accept(batch, values, dim=model.dim)
                    if model.cache:
                        put = model.cache.put_many
                        await in_thread(put, model.fingerprint, input_type, batch.texts, vectors)
                except Exception as error:  # noqa: BLE001 - raised below, when all have ended
                    failures.append(error)
                if failures:
                    return
                bar.advance(len(batch.texts))

        workers = min(model._plan_workers(), len(batches))  # noqa: SLF001
        if workers <= 1:
            await work()
        else:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(work())
    if failures:
        raise failures[0]


@contextmanager
def _keeping(model: BaseEmbedding, input_type: InputType) -> Iterator[None]:
    """Send what :func:`keep_part` is given to the model's cache, within the block."""
    cache = model.cache

    def keep(texts: Sequence[str], vectors: Vectors) -> None:
        if cache:
            cache.put_many(model.fingerprint, input_type, texts, vectors)

    # Also without a cache: what a model inside another has is not the outer one's to keep.
    token = _keeper.set(keep)
    try:
        yield
    finally:
        _keeper.reset(token)


def _keep(
    model: BaseEmbedding, plan: Plan, batch: Batch, values: object, input_type: InputType
) -> Vectors:
    vectors = plan.accept(batch, values, dim=model.dim)
    if model.cache:
        model.cache.put_many(model.fingerprint, input_type, batch.texts, vectors)
    return vectors
