"""The sync twins wait on one background loop, and never on its own thread."""

import asyncio
import os
import signal
import threading

import pytest

from decoder import ScriptedDecoder, UsageError, base
from decoder.base import background_loop, iterate_sync, run_sync

SECONDS = 10


def on_the_loop(function):
    """What `function` gives on the background loop's own thread."""

    async def inside():
        return function()

    return asyncio.run_coroutine_threadsafe(inside(), background_loop()).result(SECONDS)


def test_a_sync_function_on_the_loops_own_thread_is_refused_and_the_loop_lives_on():
    decoder = ScriptedDecoder(["one", "two"])
    with pytest.raises(UsageError, match=r"from async code of a run.*Await its async twin"):
        on_the_loop(lambda: decoder.complete("a"))
    with pytest.raises(UsageError, match="from async code of a run"):
        on_the_loop(lambda: list(decoder.stream("a")))
    assert decoder.requests == []
    assert decoder.complete("a").text == "one"


def test_an_iterator_that_is_left_on_the_loops_own_thread_is_closed_there():
    closed = []

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    iterator = iterate_sync(numbers())
    assert next(iterator) == 1
    on_the_loop(iterator.close)
    run_sync(asyncio.sleep(0))
    assert closed == [True]


def test_ctrl_c_waits_for_work_that_is_still_at_its_own_end():
    ended = []

    async def slow_to_end():
        try:
            await asyncio.sleep(SECONDS)
            yield 1
        finally:
            await asyncio.sleep(0.2)
            ended.append(True)

    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        next(iterate_sync(slow_to_end()))
    assert ended == [True]


def test_ctrl_c_before_a_step_has_begun_closes_the_generator_once_the_step_has_ended(monkeypatch):
    """The loop is kept busy until the step and the closing wait in its queue: the step begins, and has to end first."""
    schedule, scheduled, begun, ended = asyncio.run_coroutine_threadsafe, [], [], []
    both = threading.Event()

    async def endless():
        begun.append(True)
        try:
            yield await asyncio.sleep(SECONDS)
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    def counted(coroutine, loop):
        future = schedule(coroutine, loop)
        scheduled.append(future)
        if len(scheduled) == 1:
            future.result = interrupted
        else:
            both.set()
        return future

    background_loop().call_soon_threadsafe(both.wait, SECONDS)
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", counted)
    with pytest.raises(KeyboardInterrupt):
        next(iterate_sync(endless()))
    assert (begun, ended) == ([True], [True])
    assert scheduled[1].result(SECONDS) is None


def test_a_step_that_does_not_end_is_left_to_itself(monkeypatch):
    monkeypatch.setattr(base, "UNWINDING", 0.05)
    never, asked = threading.Event(), []

    async def deaf():
        while not never.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                asked.append(True)
        yield 1

    steps = base._Steps(deaf())
    step = asyncio.run_coroutine_threadsafe(steps.advance(), background_loop())
    run_sync(asyncio.sleep(0))
    run_sync(steps.close())
    assert asked == [True]
    assert not step.done()
    never.set()
    assert step.result(SECONDS) == (True, 1)
