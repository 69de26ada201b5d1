"""Whatever a server does, ServedDecoder ends with a typed error within its deadline plus half a second."""

import asyncio
import socket
import time
from contextlib import contextmanager

import pytest

from decoder.client import ServedDecoder
from decoder.errors import (
    ConnectFailed,
    ConstraintIgnored,
    ConstraintRefused,
    ContextOverflow,
    DecoderTimeout,
    MalformedResponse,
    RateLimited,
    RequestRefused,
    ServerFailed,
    TruncatedStream,
    UnknownModel,
)
from decoder.retry import NO_RETRY, Retry
from decoder.timeouts import Timeouts
from decoder.types import Constraint, Finished, Sampling, TextDelta

TIMEOUTS = Timeouts(connect=0.4, first_token=0.6, between_tokens=0.4, answer=0.6)
LONGEST = 0.6
GRACE = 0.5
QUICK = Retry(attempts=3, base=0.02, budget=1.0)


def decoder_for(url, **options):
    options = {"preset": "vllm", "timeouts": TIMEOUTS, "retry": QUICK, "api_key": "sk-secret"} | options
    return ServedDecoder(url, "m", **options)


async def ask(decoder, how, events=None, **options):
    """The completion, asked for whole or as a stream; a stream's events are kept in `events`."""
    if how == "whole":
        return await decoder.acomplete("Is it warm?", **options)
    async for event in decoder.astream("Is it warm?", **options):
        if events is not None:
            events.append(event)
        if isinstance(event, Finished):
            return event.completion
    raise AssertionError("no Finished")


@contextmanager
def raises_in_time(kind, deadline=LONGEST):
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        yield caught
    assert time.monotonic() - start < deadline + GRACE
    assert type(caught.value) is kind
    assert caught.value.step
    assert caught.value.cause
    assert "\n" not in str(caught.value)
    assert "sk-secret" not in str(caught.value)


# Faults that end a whole answer and a stream alike


async def hang_before_headers(exchange):
    await exchange.hang()


async def hang_after_headers(exchange):
    await exchange.begin("text/event-stream" if exchange.streaming else "application/json")
    await exchange.hang()


async def drip(exchange):
    """Bytes keep coming, a token never does."""
    await exchange.begin("text/event-stream" if exchange.streaming else "application/json")
    for byte in b'data: {"choices": [' + b" " * 1000:
        await exchange.event(bytes([byte]))
        await asyncio.sleep(0.01)


async def fail(exchange):
    await exchange.answer(500, {"error": {"message": "EngineCore died", "code": 500}})


async def fail_in_html(exchange):
    await exchange.answer(502, "<html><h1>Bad\nGateway</h1></html>", "text/html")


async def error_body_hangs(exchange):
    await exchange.send(b"HTTP/1.1 400 X\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
    await exchange.hang()


async def close_without_a_word(exchange):
    exchange.die()


async def close_in_the_middle(exchange):
    await exchange.begin("text/event-stream" if exchange.streaming else "application/json")
    await exchange.event(b'data: {"choi')
    exchange.die()


async def no_http(exchange):
    await exchange.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    exchange.writer.close()


async def html(exchange):
    await exchange.answer(200, "<html>Welcome to the router</html>", "text/html")


async def no_type(exchange):
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


async def redirect(exchange):
    await exchange.answer(307, "", "text/html", Location="http://127.0.0.1:1/steal")


async def bad_json(exchange):
    if exchange.streaming:
        await exchange.begin()
        await exchange.event(b'data: {"choices": [}\n\n')
        await exchange.hang()
    await exchange.answer(200, '{"choices": [')


async def another_json(exchange):
    if exchange.streaming:
        await exchange.begin()
        await exchange.event(b'data: {"hello": "world"}\n\n')
        await exchange.hang()
    await exchange.answer(200, {"hello": "world"})


async def no_utf8(exchange):
    if exchange.streaming:
        await exchange.begin()
        await exchange.event(b'data: {"choices": "\xff\xfe"}\n\n')
        await exchange.hang()
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"\xff\xfe"')


async def content_is_no_text(exchange):
    item = {"index": 0, "finish_reason": "stop"}
    if exchange.streaming:
        await exchange.begin()
        await exchange.event(b'data: {"choices": [{"index": 0, "delta": {"content": 7}}]}\n\n')
        await exchange.hang()
    await exchange.answer(200, {"id": "c", "choices": [item | {"message": {"content": 7}}]})


async def aborted(exchange):
    if exchange.streaming:
        await exchange.begin()
        await exchange.token(None, "abort")
        await exchange.hang()
    await exchange.completion(finish_reason="abort")


@pytest.mark.parametrize("how", ["whole", "stream"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (hang_before_headers, DecoderTimeout),
        (hang_after_headers, DecoderTimeout),
        (drip, DecoderTimeout),
        (fail, ServerFailed),
        (fail_in_html, ServerFailed),
        (error_body_hangs, DecoderTimeout),
        (close_without_a_word, ServerFailed),
        (close_in_the_middle, TruncatedStream),
        (no_http, MalformedResponse),
        (html, MalformedResponse),
        (no_type, MalformedResponse),
        (redirect, MalformedResponse),
        (bad_json, MalformedResponse),
        (another_json, MalformedResponse),
        (no_utf8, MalformedResponse),
        (content_is_no_text, MalformedResponse),
        (aborted, MalformedResponse),
    ],
)
async def test_a_fault_is_a_typed_error_in_time(faulty, fault, error, how):
    faulty(fault)
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(error):
            await ask(decoder, how)


@pytest.mark.parametrize("how", ["whole", "stream"])
async def test_nobody_listens(how, unused_tcp_port):
    async with decoder_for(f"http://127.0.0.1:{unused_tcp_port}/v1") as decoder:
        with raises_in_time(ConnectFailed) as caught:
            await ask(decoder, how)
    assert str(unused_tcp_port) in str(caught.value)


async def test_no_such_host():
    async with decoder_for("http://no-such-host.invalid/v1", proxy="") as decoder:
        with raises_in_time(ConnectFailed):
            await ask(decoder, "whole")


async def test_a_connection_that_is_never_taken():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        async with decoder_for(f"http://127.0.0.1:{full.getsockname()[1]}/v1") as decoder:
            with raises_in_time(DecoderTimeout, TIMEOUTS.connect):
                await ask(decoder, "whole")
        for one in waiting:
            one.close()


async def test_tls_where_there_is_none(unused_tcp_port):
    async def plain(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", unused_tcp_port)
    async with server, decoder_for(f"https://127.0.0.1:{unused_tcp_port}/v1") as decoder:
        with raises_in_time(ConnectFailed):
            await ask(decoder, "whole")


async def test_a_tls_handshake_that_never_ends(faulty):
    faulty(hang_before_headers)
    async with decoder_for(faulty.url.replace("http:", "https:")) as decoder:
        with raises_in_time(DecoderTimeout, TIMEOUTS.connect):
            await ask(decoder, "whole")


async def test_the_proxy_is_dead(faulty, unused_tcp_port):
    async with decoder_for(faulty.url, proxy=f"http://user:sk-secret@127.0.0.1:{unused_tcp_port}") as decoder:
        with raises_in_time(ConnectFailed):
            await ask(decoder, "whole")


# Faults of streams


async def test_dying_after_some_tokens_keeps_the_tokens_and_is_not_tried_again(faulty):
    async def dies(exchange):
        await exchange.begin()
        for token in ("The ", "fire "):
            await exchange.token(token)
        await asyncio.sleep(0.05)
        exchange.die()

    faulty(dies)
    events = []
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(TruncatedStream):
            await ask(decoder, "stream", events)
    assert "".join(event.text for event in events) == "The fire "
    assert len(faulty.exchanges) == 1


async def test_dying_before_the_first_token_is_tried_again(faulty):
    async def dies(exchange):
        await exchange.begin()
        exchange.die()

    faulty(dies, lambda exchange: exchange.good())
    async with decoder_for(faulty.url) as decoder:
        assert (await ask(decoder, "stream")).text == "The fire is lit."
    assert len(faulty.exchanges) == 2


@pytest.mark.parametrize("silence", [b"", b": still here\n\n", b'data: {"choi'], ids=["none", "comments", "half event"])
async def test_silence_between_tokens(faulty, silence):
    async def stalls(exchange):
        await exchange.begin()
        await exchange.token("The ")
        for _ in range(40 if silence.startswith(b":") else 1):
            if silence:
                await exchange.event(silence)
            await asyncio.sleep(0.05)
        await exchange.hang()

    faulty(stalls)
    events = []
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(DecoderTimeout, TIMEOUTS.between_tokens) as caught:
            await ask(decoder, "stream", events)
    assert "next token" in str(caught.value)
    assert [type(event) for event in events] == [TextDelta]


async def test_naming_the_role_is_no_token(faulty):
    async def names_the_role(exchange):
        await exchange.begin()
        await exchange.event(b'data: {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}\n\n')
        await exchange.hang()

    faulty(names_the_role)
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(DecoderTimeout) as caught:
            await ask(decoder, "stream")
    assert "first token" in str(caught.value)


async def test_the_first_token_may_take_longer_than_the_next_even_after_the_role(faulty):
    async def hesitates(exchange):
        await exchange.begin()
        await exchange.event(b'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\n')
        await asyncio.sleep(0.3)
        await exchange.token("Warm.", "stop")
        await exchange.end()

    faulty(hesitates)
    timeouts = Timeouts(first_token=5.0, between_tokens=0.1)
    async with decoder_for(faulty.url, timeouts=timeouts) as decoder:
        assert (await ask(decoder, "stream")).text == "Warm."


async def test_a_slow_stream_may_take_longer_than_any_one_deadline(faulty):
    async def slow(exchange):
        await exchange.begin()
        for _ in range(8):
            await exchange.token("on ")
            await asyncio.sleep(0.15)
        await exchange.token(None, "stop")
        await exchange.event(b"data: [DONE]\n\n")
        await exchange.end()

    faulty(slow)
    async with decoder_for(faulty.url) as decoder:
        assert (await ask(decoder, "stream")).text == "on " * 8


@pytest.mark.parametrize("ending", [b"", b"data: [DONE]\n\n"], ids=["end of file", "[DONE]"])
async def test_a_stream_that_ends_before_the_model_does(faulty, ending):
    async def ends(exchange):
        await exchange.begin()
        await exchange.token("The ")
        if ending:
            await exchange.event(ending)
        await exchange.end()

    faulty(ends)
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(TruncatedStream):
            await ask(decoder, "stream")


async def test_a_finished_stream_without_done_is_whole(faulty):
    async def forgets(exchange):
        await exchange.begin()
        await exchange.token("The fire")
        await exchange.token(None, "length")
        await exchange.end()

    faulty(forgets)
    async with decoder_for(faulty.url) as decoder:
        completion = await ask(decoder, "stream")
    assert (completion.text, completion.finish_reason) == ("The fire", "length")


async def test_an_open_connection_after_done_does_not_delay_the_answer(faulty):
    async def lingers(exchange):
        await exchange.begin()
        await exchange.token("Warm.", "stop")
        await exchange.event(b"data: [DONE]\n\n")
        await exchange.hang()

    faulty(lingers)
    async with decoder_for(faulty.url) as decoder:
        start = time.monotonic()
        assert (await ask(decoder, "stream")).text == "Warm."
    assert time.monotonic() - start < 0.3


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"message": "engine died", "code": 500}, ServerFailed),
        ({"message": "This model's maximum context length is 8 tokens", "code": 400}, ContextOverflow),
        ("out of memory", ServerFailed),
    ],
)
async def test_an_error_inside_the_stream(faulty, said, error):
    import json

    async def breaks(exchange):
        await exchange.begin()
        await exchange.token("The ")
        await exchange.event(b"data: " + json.dumps({"error": said}).encode() + b"\n\n")
        await exchange.hang()

    faulty(breaks)
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(error):
            await ask(decoder, "stream")


# Refusals, as servers word them

REFUSALS = [
    (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 64 tokens. However, your prompt contains 99",
                "type": "BadRequestError",
                "code": 400,
            }
        },
        ContextOverflow,
    ),
    (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}, ContextOverflow),
    (400, {"error": {"message": "the request exceeds the available context size", "code": 400}}, ContextOverflow),
    (400, {"error": {"message": "max_tokens=5000 cannot be greater than max_model_len=512."}}, ContextOverflow),
    (404, {"error": {"message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404}}, UnknownModel),
    (404, {"error": 'model "m" not found, try pulling it first'}, UnknownModel),
    (404, {"error": {"message": "no", "code": "model_not_found"}}, UnknownModel),
    (404, {"detail": "Not Found"}, RequestRefused),
    (401, {"error": {"message": "Incorrect API key provided: sk-secret"}}, RequestRefused),
    (400, {"error": {"message": "Unknown field"}}, RequestRefused),
    (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, RequestRefused),
]


@pytest.mark.parametrize(("status", "body", "error"), REFUSALS)
@pytest.mark.parametrize("how", ["whole", "stream"])
async def test_a_refusal_has_its_type_and_is_not_tried_again(faulty, status, body, error, how):
    faulty(lambda exchange: exchange.answer(status, body))
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(error):
            await ask(decoder, how)
    assert len(faulty.exchanges) == 1


async def test_a_malformed_constraint_is_refused(faulty):
    said = {"error": {"message": "Grammar error: xgrammar could not compile the regex", "code": 400}}
    faulty(lambda exchange: exchange.answer(400, said))
    async with decoder_for(faulty.url, unverified_constraints=True) as decoder:
        with raises_in_time(ConstraintRefused):
            await ask(decoder, "whole", constraint=Constraint("regex", "("))


async def test_an_ignored_constraint_is_an_error(faulty):
    faulty(lambda exchange: exchange.good())
    async with decoder_for(faulty.url) as decoder:
        for _ in range(2):
            with raises_in_time(ConstraintIgnored):
                await ask(decoder, "whole", constraint=Constraint("regex", "[0-9]+"))
    assert len(faulty.exchanges) == 1, "the probe was asked once, and the request never"


# Retries


@pytest.mark.parametrize("how", ["whole", "stream"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_asked_again_when_it_says(faulty, status, how):
    async def busy(exchange):
        await exchange.answer(status, {"error": {"message": "busy"}}, Retry_After="0.2")

    faulty(busy, lambda exchange: exchange.good())
    start = time.monotonic()
    async with decoder_for(faulty.url) as decoder:
        assert (await ask(decoder, how)).text == "The fire is lit."
    assert 0.2 <= time.monotonic() - start < 0.5


@pytest.mark.parametrize("how", ["whole", "stream"])
async def test_a_wait_beyond_the_deadline_is_not_begun(faulty, how):
    faulty(lambda exchange: exchange.answer(429, {"error": {"message": "busy"}}, Retry_After="30"))
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(RateLimited, 0) as caught:
            await ask(decoder, how)
    assert caught.value.retry_after == 30
    assert len(faulty.exchanges) == 1


@pytest.mark.parametrize("how", ["whole", "stream"])
async def test_the_retry_budget_is_kept(faulty, how):
    faulty(fail)
    async with decoder_for(faulty.url) as decoder:
        with raises_in_time(ServerFailed):
            await ask(decoder, how)
    assert len(faulty.exchanges) == QUICK.attempts


async def test_no_retry_means_one_request(faulty):
    faulty(fail)
    async with decoder_for(faulty.url, retry=NO_RETRY) as decoder:
        with raises_in_time(ServerFailed):
            await ask(decoder, "whole")
    assert len(faulty.exchanges) == 1


# Leaving early


async def wait_for_departure(faulty, since):
    while not faulty.left_at:
        assert time.monotonic() - since < 1.0, "the connection is still open"
        await asyncio.sleep(0.005)
    return faulty.left_at[0] - since


async def endless(exchange):
    await exchange.begin()
    await exchange.token("on ")
    await exchange.hang()


async def test_closing_a_stream_closes_the_request_within_200_ms(faulty):
    faulty(endless)
    async with decoder_for(faulty.url) as decoder:
        stream = decoder.astream("Is it warm?")
        await anext(stream)
        start = time.monotonic()
        await stream.aclose()
        assert await wait_for_departure(faulty, start) < 0.2


async def test_leaving_the_loop_is_enough(faulty):
    faulty(endless)
    async with decoder_for(faulty.url) as decoder:
        async for _ in decoder.astream("Is it warm?"):
            start = time.monotonic()
            break
        assert await wait_for_departure(faulty, start) < 0.2


@pytest.mark.parametrize("how", ["whole", "stream"])
@pytest.mark.parametrize("fault", [hang_before_headers, hang_after_headers, endless])
async def test_cancelling_closes_the_request_within_200_ms(faulty, fault, how):
    faulty(fault)
    async with decoder_for(faulty.url) as decoder:
        task = asyncio.create_task(ask(decoder, how))
        await asyncio.sleep(0.1)
        assert faulty.exchanges
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await wait_for_departure(faulty, start) < 0.2


async def test_leaving_a_sync_stream_closes_the_request_within_200_ms(faulty):
    faulty(endless)

    def first_event():
        with decoder_for(faulty.url) as decoder:
            stream = decoder.stream("Is it warm?")
            next(stream)
            left = time.monotonic()
            stream.close()
            return left

    start = await asyncio.to_thread(first_event)
    assert await wait_for_departure(faulty, start) < 0.2


async def test_a_connection_is_used_again_after_answers_and_streams(faulty):
    async def ends_a_moment_after_done(exchange):
        if not exchange.streaming:
            return await exchange.completion()
        await exchange.begin()
        await exchange.token("Warm.", "stop")
        await exchange.event(b"data: [DONE]\n\n")
        await asyncio.sleep(0.01)
        return await exchange.end()

    faulty(ends_a_moment_after_done)
    async with decoder_for(faulty.url) as decoder:
        for how in ("whole", "stream", "whole", "stream"):
            await ask(decoder, how, sampling=Sampling(max_tokens=8))
    assert faulty.connections == 1
