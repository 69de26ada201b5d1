"""Many waits at once, but not too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def run_bounded(jobs: Iterable[Callable[[], Awaitable[None]]], limit: int) -> None:
    """Run every job, at most `limit` at a time; the first exception cancels the others and is raised."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:  # shared: each worker takes the next that nobody has taken
            await job()

    workers = [asyncio.create_task(work()) for _ in range(limit)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
