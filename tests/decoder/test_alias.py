"""Which model answers when none is named: every decoder follows a switch on its next request, and none is torn."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web

from decoder import alias
from decoder.client import ServedDecoder
from decoder.constraint import choice
from decoder.errors import ServiceError, UnknownModel

ROOT = Path(__file__).resolve().parents[2]
LISTED = ({"id": "base", "owned_by": "vllm", "max_model_len": 512}, {"id": "tuned", "parent": "base"}, {"id": "older"})


class Server:
    """Lists a base model and two adapters, answers with the name it was asked for, and takes as long as it is told."""

    def __init__(self):
        self.listed, self.delay, self.lists = list(LISTED), 0.0, 0

    async def start(self):
        app = web.Application()
        app.router.add_get("/v1/models", self.models)
        app.router.add_post("/v1/chat/completions", self.chat)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"

    async def models(self, request):
        self.lists += 1
        return web.json_response({"data": self.listed})

    async def chat(self, request):
        body = await request.json()
        await asyncio.sleep(self.delay)
        if body["model"] not in [each["id"] for each in self.listed]:
            error = {"message": f"The model `{body['model']}` does not exist.", "type": "NotFoundError"}
            return web.json_response({"error": error}, status=404)
        message = {"role": "assistant", "content": body["model"]}
        if not body.get("stream"):
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return web.json_response({"id": "c", "model": body["model"], "choices": choices})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        chunk = {
            "id": "c",
            "model": body["model"],
            "choices": [{"index": 0, "delta": message, "finish_reason": "stop"}],
        }
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n")
        return response


@pytest.fixture(autouse=True)
def house(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
async def server():
    one = Server()
    await one.start()
    yield one
    await one.runner.cleanup()


async def said(decoder):
    return (await decoder.acomplete("Who answers?")).text


async def test_no_name_follows_each_switch_and_a_name_never_does(server):
    async with (
        ServedDecoder(server.url) as nameless,
        ServedDecoder(server.url, "default") as default,
        ServedDecoder(server.url, "base") as named,
        ServedDecoder(server.url, "older") as other,
    ):
        everyone = (nameless, default, named, other)
        assert [await said(each) for each in everyone] == ["base", "base", "base", "older"]
        alias.switch("base", "tuned", "")
        assert [await said(each) for each in everyone] == ["tuned", "tuned", "base", "older"]
        assert nameless.model == "tuned"
        assert await nameless.acontext_length() == 512, "an adapter's length is its base's"
        alias.switch("base", "", None)
        assert [await said(each) for each in everyone] == ["base", "base", "base", "older"]
        assert server.lists == 2 + 1 + 2, "one look each for the two without a name, preset for each, and the length"


@pytest.mark.parametrize("asked", ["", "default"])
async def test_one_that_is_pinned_stays_with_what_answered_then(server, asked):
    alias.switch("base", "tuned", "")
    async with ServedDecoder(server.url, asked) as decoder:
        await decoder.apinned()
        alias.switch("base", "older", "tuned")
        assert [await said(decoder), decoder.model] == ["tuned", "tuned"]
        alias.switch("base", "", None)
        assert await said(decoder) == "tuned"


async def test_streams_follow_too(server):
    async with ServedDecoder(server.url, preset="vllm") as decoder:
        alias.switch("base", "tuned", "")
        events = [event async for event in decoder.astream("Who answers?")]
        assert events[-1].completion.text == "tuned"


async def test_a_request_under_way_stays_on_its_model(server):
    async with ServedDecoder(server.url) as decoder:
        await decoder.aready()
        server.delay = 0.3
        under_way = asyncio.create_task(said(decoder))
        await asyncio.sleep(0.1)
        alias.switch("base", "tuned", "")
        assert await said(decoder) == "tuned"
        assert await under_way == "base"


async def test_another_base_models_switch_changes_nothing(server):
    alias.switch("another", "tuned", "")
    async with ServedDecoder(server.url) as decoder:
        assert await said(decoder) == "base"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_promoted_and_not_served_is_an_error_that_says_what_to_do(server, stream):
    alias.switch("base", "lost", "")
    async with ServedDecoder(server.url, preset="vllm") as decoder:
        with pytest.raises(UnknownModel, match=r"lost.*hearth models load lost.*hearth models rollback"):
            if stream:
                [event async for event in decoder.astream("Who answers?")]
            await said(decoder)
    async with ServedDecoder(server.url, "nobody", preset="vllm") as named:
        with pytest.raises(UnknownModel) as failed:
            await said(named)
        assert "hearth models" not in str(failed.value)


async def test_the_error_names_what_the_request_was_for_when_a_switch_comes_while_it_is_made(server):
    alias.switch("base", "lost", "")
    async with ServedDecoder(server.url, preset="vllm") as decoder:

        async def meanwhile(kind, deadline):
            alias.switch("base", "", None)
            await decoder._known(deadline)  # as another request does

        decoder._service.require_enforced = meanwhile
        with pytest.raises(UnknownModel, match="hearth models load lost"):
            await decoder.acomplete("Who answers?", constraint=choice(["a", "b"]))


async def test_a_server_whose_model_is_called_default_is_taken_at_that_word(server):
    server.listed.append({"id": "default"})
    alias.switch("base", "tuned", "")
    async with ServedDecoder(server.url, "default") as decoder:
        assert await said(decoder) == "default"


async def test_a_gateway_that_lists_nothing_is_asked_for_what_was_named(server):
    server.listed, alone = [], ServedDecoder(server.url, "default", preset="vllm")
    async with alone:
        with pytest.raises(UnknownModel, match="`default` does not exist"):
            await said(alone)


async def test_a_damaged_file_is_an_error_and_not_a_guess(server, house):
    alias.switch("base", "tuned", "")
    async with ServedDecoder(server.url) as decoder:
        for content in ("{", "[]", '{"base": {"model": 3, "before": null}}', '{"base": {"model": "x"}}'):
            alias.file().write_text(content)
            with pytest.raises(ServiceError, match="damaged"):
                await said(decoder)


async def test_a_home_that_cannot_be_used_is_a_typed_error(server, house, monkeypatch):
    house.write_text("a file where a folder should be")
    assert alias.resolve("base") == "base", "nothing was ever promoted there"
    with pytest.raises(ServiceError, match="cannot be written"):
        alias.switch("base", "tuned", "")
    monkeypatch.setenv("HEARTH_HOME", "/" + "a" * 300)
    async with ServedDecoder(server.url) as decoder:
        with pytest.raises(ServiceError, match="cannot be read"):
            await said(decoder)


def test_a_writer_does_not_wait_for_ever_and_leaves_nothing_behind(house, monkeypatch):
    alias.switch("base", "tuned", "")
    monkeypatch.setattr(alias, "LOCK_SECONDS", 0.1)
    with alias._locked(), pytest.raises(ServiceError, match="another process has been switching"):
        alias.switch("base", "other", "")
    monkeypatch.setattr(alias.os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(ServiceError, match="still answers"):
        alias.switch("base", "other", "")
    assert alias.resolve("base") == "tuned"
    assert sorted(path.name for path in house.iterdir()) == [".aliases.lock", "aliases.json"]


def python(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_readers_see_whole_files_and_writers_lose_nothing_of_each_other():
    alias.switch("watched", "still", "")
    code = "import sys; from decoder import alias\n"
    code += "for n in range(100):\n alias.switch(sys.argv[1], f'model-{n}' * (1 + n % 50), '')"
    writers = [python(code, name) for name in ("one", "two", "three")]
    looks = 0
    while any(writer.poll() is None for writer in writers):
        assert alias.resolve("watched") == "still"
        looks += 1
    assert [writer.wait(10) for writer in writers] == [0, 0, 0]
    assert looks > 10
    assert set(alias.targets()) == {"watched", "one", "two", "three"}
    assert {alias.resolve(name) for name in ("one", "two", "three")} == {"model-99" * 50}


def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(house):
    code = (
        "import itertools; from decoder import alias\nfor n in itertools.count():\n alias.switch('base', f'm{n}', '')"
    )
    for pause in (0.0, 0.01, 0.02, 0.03):
        process = python(code)
        deadline = time.monotonic() + 30
        before = alias.resolve("base")
        while alias.resolve("base") == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(pause)
        process.kill()
        process.wait(10)
        assert alias.resolve("base").startswith("m")
        alias.switch("base", "m-after", "")  # and the lock died with it
        assert alias.resolve("base") == "m-after"


def test_a_look_costs_little():
    """Every request pays for one; a round trip on loopback takes hundreds of microseconds."""
    alias.switch("base", "tuned", "")
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(1000):
            alias.resolve("base")
        best = min(best, (time.perf_counter() - began) / 1000)
    assert best < 100e-6
