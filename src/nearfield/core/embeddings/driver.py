"""The two thin drivers that run a plan: one in threads, one on the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

from nearfield.core.progress import progress

if TYPE_CHECKING:
    from nearfield.core.batching import Batch, Plan
    from nearfield.core.embeddings.base import BaseEmbedding, InputType
    from nearfield.core.vectors import Vectors


def run_plan(
    model: BaseEmbedding, plan: Plan, input_type: InputType, *, show_progress: bool = False
) -> None:
    """Compute all batches of a plan, ``model.num_workers`` at a time.

    The first failure is raised once no batch is running any more; what was
    computed by then is in the cache, if the model has one.

    Args:
        model: The model.
        plan: The plan, which takes the vectors.
        input_type: Query or document.
        show_progress: Draw a bar.
    """
    batches = plan.batches()
    workers = min(model.num_workers or 1, len(batches))
    with progress(len(plan.missing), "Embedding", show=show_progress) as bar:
        if workers <= 1:
            for batch in batches:
                _keep(model, plan, batch, model._compute(batch.texts, input_type), input_type)  # noqa: SLF001
                bar.advance(len(batch.texts))
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="nearfield-embed") as pool:
            futures = [
                (batch, pool.submit(copy_context().run, model._compute, batch.texts, input_type))  # noqa: SLF001
                for batch in batches
            ]
            try:
                for batch, future in futures:
                    _keep(model, plan, batch, future.result(), input_type)
                    bar.advance(len(batch.texts))
            finally:
                for _, future in futures:
                    future.cancel()


async def arun_plan(
    model: BaseEmbedding, plan: Plan, input_type: InputType, *, show_progress: bool = False
) -> None:
    """Compute all batches of a plan as tasks, ``model.num_workers`` at a time.

    Args:
        model: The model.
        plan: The plan, which takes the vectors.
        input_type: Query or document.
        show_progress: Draw a bar.
    """
    gate = asyncio.Semaphore(model.num_workers or 1)
    with progress(len(plan.missing), "Embedding", show=show_progress) as bar:

        async def compute(batch: Batch) -> None:
            async with gate:
                values = await model._acompute(batch.texts, input_type)  # noqa: SLF001
            _keep(model, plan, batch, values, input_type)
            bar.advance(len(batch.texts))

        try:
            async with asyncio.TaskGroup() as tasks:
                for batch in plan.batches():
                    tasks.create_task(compute(batch))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


def _keep(
    model: BaseEmbedding, plan: Plan, batch: Batch, values: object, input_type: InputType
) -> Vectors:
    vectors = plan.accept(batch, values, dim=model.dim)
    if model.cache is not None:
        model.cache.put_many(model.fingerprint, input_type, batch.texts, vectors)
    return vectors
