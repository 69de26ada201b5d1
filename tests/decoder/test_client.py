"""ServedDecoder against a well-behaved server: what is asked, what is asked once, and what comes back."""

import asyncio
import gc
import json
import subprocess
import time
from types import SimpleNamespace

import pytest
from aiohttp import web

from decoder.client import ServedDecoder
from decoder.connections import environment_proxy, normal_url, tls
from decoder.errors import (
    ConnectFailed,
    ConstraintIgnored,
    ConstraintRefused,
    MalformedResponse,
    RequestRefused,
    SettingsError,
    UnknownModel,
    UsageError,
)
from decoder.probe import probe, violates
from decoder.refusals import LONGEST_CAUSE, message_of
from decoder.retry import Backoff, Retry, retry_after
from decoder.settings import DecoderSettings
from decoder.timeouts import Timeouts
from decoder.types import CONSTRAINT_KINDS, Choice, Constraint, Finished, Sampling, TextDelta, user
from decoder.wire import request_body

CHAT = "/v1/chat/completions"


class Server:
    """A small vLLM: enforces its probes, says "Warm." to everything else, and remembers what it was asked.

    Attributes:
        obeys: whether constraints are enforced.
        listed: what /v1/models lists.
    """

    def __init__(self):
        self.asked, self.obeys, self.text, self.delay, self.open = [], True, "Warm.", 0.0, 0
        self.listed = [{"id": "first", "owned_by": "vllm", "max_model_len": 512}, {"id": "adapter", "owned_by": "vllm"}]
        self.app = web.Application(client_max_size=2**26)
        self.app.router.add_get("/v1/models", self.models)
        self.app.router.add_post(CHAT, self.chat)
        self.app.router.add_post("/tokenize", self.tokenize)

    async def start(self, ssl_context=None):
        self.runner = web.AppRunner(self.app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if ssl_context else ''}://127.0.0.1:{port}/v1"

    async def models(self, request):
        self.asked.append((request, None))
        return web.json_response({"object": "list", "data": self.listed})

    async def tokenize(self, request):
        body = await request.json()
        self.asked.append((request, body))
        return web.json_response({"count": 7, "tokens": [1] * 7})

    async def chat(self, request):
        body = await request.json()
        self.asked.append((request, body))
        await asyncio.sleep(self.delay)
        text = self.said(body)
        if body.get("stream"):
            return await self.stream(request, text)
        message = {"role": "assistant", "content": text}
        choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(body.get("n", 1))]
        return web.json_response({"id": "c", "model": body["model"], "choices": choices})

    async def stream(self, request, text):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for letter in text:
            await response.write(event({"content": letter}))
        await response.write(event({}, "stop") + b"data: [DONE]\n\n")
        return response

    def said(self, body):
        for kind in CONSTRAINT_KINDS:
            fields = request_body("m", [user("")], constraint=probe(kind).constraint)["structured_outputs"]
            if self.obeys and body.get("structured_outputs") == fields:
                return probe(kind).allowed[0]
        return self.text

    @property
    def bodies(self):
        return [body for request, body in self.asked if request.path == CHAT]


def event(delta, finish=None):
    body = {"id": "c", "model": "first", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@pytest.fixture
async def server():
    one = Server()
    await one.start()
    yield one
    await one.runner.cleanup()


# Asking


async def test_a_completion_a_stream_and_their_request(server):
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        whole = await decoder.acomplete("hi", sampling=Sampling(temperature=0.5, n=2))
        events = [event async for event in decoder.astream([user("hi")])]
    assert [choice.text for choice in whole.choices] == ["Warm.", "Warm."]
    assert events[:-1] == [TextDelta(letter) for letter in "Warm."]
    assert events[-1] == Finished(events[-1].completion)
    assert events[-1].completion.text == "Warm."
    assert server.bodies[0] == {
        "model": "first",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "n": 2,
    }
    assert len(server.asked) == 2, "nothing but the two requests"


async def test_the_sync_twins(server):
    def use():
        with ServedDecoder(server.url) as decoder:
            streamed = "".join(e.text for e in decoder.stream("hi") if isinstance(e, TextDelta))
            return decoder.complete("hi").text, streamed, decoder.model

    assert await asyncio.to_thread(use) == ("Warm.", "Warm.", "first")


def test_one_decoder_serves_one_loop_after_another(server_thread):
    decoder = ServedDecoder(server_thread.url)
    for _ in range(3):
        assert asyncio.run(decoder.acomplete("hi")).text == "Warm."
    assert decoder.complete("hi").text == "Warm."
    decoder.close()
    decoder.close()
    gc.collect()  # a session or a socket left open would warn here, and warnings are errors


def test_a_forgotten_decoder_closes_its_connections(server_thread):
    def use():
        assert ServedDecoder(server_thread.url).complete("hi").text == "Warm."

    use()
    gc.collect()
    ServedDecoder(server_thread.url).complete("hi")  # the background loop has turned since


@pytest.fixture
def server_thread():
    """The server on a loop of its own, for tests that run loops themselves."""
    import threading

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    one = Server()
    asyncio.run_coroutine_threadsafe(one.start(), loop).result(5)
    yield one
    asyncio.run_coroutine_threadsafe(one.runner.cleanup(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def test_64_requests_are_in_flight_together(server):
    server.delay = 0.3
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        start = time.monotonic()
        await asyncio.gather(*(decoder.acomplete("hi") for _ in range(96)))
        assert time.monotonic() - start < 0.3 * 3, "some waited for others"


async def test_a_prompt_with_a_large_image_is_sent(server):
    from decoder.types import ImagePart, Message, TextPart

    image = ImagePart("data:image/png;base64," + "A" * 3_000_000)
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        await decoder.acomplete([Message("user", (TextPart("What is it?"), image))])
    assert server.bodies[0]["messages"][0]["content"][1]["image_url"]["url"] == image.url


# Finding out


async def test_model_and_preset_are_found_out_once(server):
    async with ServedDecoder(server.url) as decoder:
        assert (decoder.model, decoder.constraints) == ("", frozenset())
        await asyncio.gather(*(decoder.acomplete("hi") for _ in range(8)))
        assert decoder.model == "first"
        assert decoder.constraints == set(CONSTRAINT_KINDS)
        assert await decoder.amodels() == ("first", "adapter")
        assert await decoder.acontext_length() == 512
    assert [request.path for request, _ in server.asked].count("/v1/models") == 3


async def test_the_chosen_model_is_kept(server):
    async with ServedDecoder(server.url, "adapter") as decoder:
        await decoder.aready()
        assert decoder.model == "adapter"
        assert await decoder.acontext_length() is None


async def test_a_server_without_models_is_an_error(server):
    server.listed = []
    async with ServedDecoder(server.url) as decoder:
        with pytest.raises(UnknownModel, match="lists no model"):
            await decoder.acomplete("hi")


async def test_tokens_are_counted_by_vllm_and_estimated_elsewhere(server):
    async with ServedDecoder(server.url) as vllm, ServedDecoder(server.url, "first", preset="openai") as other:
        assert await vllm.acount_tokens("hi") == 7
        assert server.asked[-1][1] == {"model": "first", "messages": [{"role": "user", "content": "hi"}]}
        assert await other.acount_tokens("x" * 300) == 108


async def test_a_gateway_without_tokenize_is_estimated(server):
    async with ServedDecoder(server.url.replace("/v1", "/v1/v1"), "first", preset="vllm") as decoder:
        assert await decoder.acount_tokens("x" * 300) == 108


async def test_a_server_that_ignores_n_is_found_out(server):
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        with pytest.raises(MalformedResponse, match="1 of 4"):
            async for _ in decoder.astream("hi", sampling=Sampling(n=4)):
                pass


# Settings, secrets, TLS, proxies


async def test_key_and_headers_are_sent_and_never_shown(server):
    decoder = ServedDecoder(server.url, "first", preset="vllm", api_key="sk-secret", headers={"X-Team": "hearth"})
    async with decoder:
        await decoder.acomplete("hi")
    headers = server.asked[0][0].headers
    assert (headers["Authorization"], headers["X-Team"]) == ("Bearer sk-secret", "hearth")
    assert "sk-secret" not in repr(decoder)
    assert repr(decoder) == f"ServedDecoder(base_url='{server.url}', model='first', preset='vllm')"


def test_settings_name_the_decoder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HEARTH_DECODER_API_KEY", "sk-secret")
    monkeypatch.setenv("HEARTH_DECODER_MODEL", "mine")
    decoder = ServedDecoder.from_settings()
    assert (decoder.base_url, decoder.model) == ("http://127.0.0.1:9/v1", "mine")
    assert ServedDecoder.from_settings(DecoderSettings(preset="ollama")).base_url == "http://127.0.0.1:11434/v1"
    with pytest.raises(UsageError, match="HEARTH_DECODER_BASE_URL"):
        ServedDecoder.from_settings(DecoderSettings())


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("https://h/api/v1/", "https://h/api/v1"),
        (" http://h:1/v1?x=1 ", "http://h:1/v1"),
    ],
)
def test_base_urls_are_tidied(given, used):
    assert normal_url(given) == used


@pytest.mark.parametrize("wrong", ["", "localhost:8000", "ftp://h/v1", "http://", "http://me:sk-secret@h/v1"])
def test_a_base_url_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError) as caught:
        ServedDecoder(wrong)
    assert "sk-secret" not in str(caught.value)


def test_the_environments_proxy_is_taken_except_for_this_machine(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert environment_proxy("https://example.org/v1") == ""
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example.org")
    assert environment_proxy("https://example.org/v1") == "http://proxy:3128"
    assert environment_proxy("https://inside.example.org/v1") == ""
    assert environment_proxy("http://127.0.0.1:8000/v1") == ""
    assert environment_proxy("http://localhost:8000/v1") == ""


async def test_requests_go_through_the_proxy(server):
    proxy = server.url.removesuffix("/v1")
    async with ServedDecoder("http://elsewhere.invalid/v1", "first", preset="vllm", proxy=proxy) as decoder:
        assert (await decoder.acomplete("hi")).text == "Warm."
    assert server.asked[0][0].headers["Host"] == "elsewhere.invalid"


@pytest.fixture
def certificate(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no openssl command to make a certificate with")
    return SimpleNamespace(cert=cert, key=key)


async def test_tls_is_checked(certificate):
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    server = Server()
    await server.start(context)
    options = {"preset": "vllm", "retry": Retry(attempts=1)}
    async with ServedDecoder(server.url, "first", **options) as strict:
        with pytest.raises(ConnectFailed, match="TLS"):
            await strict.acomplete("hi")
    for verify in (certificate.cert, str(certificate.cert), tls(certificate.cert), False):
        async with ServedDecoder(server.url, "first", verify=verify, **options) as decoder:
            assert (await decoder.acomplete("hi")).text == "Warm."
    await server.runner.cleanup()


def test_certificates_that_cannot_be_read(tmp_path):
    with pytest.raises(SettingsError, match="certificates"):
        ServedDecoder("https://h/v1", verify=tmp_path / "none.pem")


def test_timeouts_are_above_zero():
    with pytest.raises(UsageError, match="first_token"):
        Timeouts(first_token=0)


# Constraints


@pytest.mark.parametrize("kind", CONSTRAINT_KINDS)
async def test_each_kind_is_probed_once(server, kind):
    server.text = '{"n": 1}'
    values = {"choice": ('{"n": 1}',), "json": {"type": "object"}, "structural_tag": {"type": "structural_tag"}}
    constraint = Constraint(kind, values.get(kind, ".*"))
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        await asyncio.gather(*(decoder.acomplete("hi", constraint=constraint) for _ in range(4)))
        async for _ in decoder.astream("hi", constraint=constraint):
            pass
    assert len(server.bodies) == 6
    assert sum(body["messages"][0]["content"] != "hi" for body in server.bodies) == 1


@pytest.mark.parametrize("kind", CONSTRAINT_KINDS)
async def test_a_server_that_ignores_constraints_is_never_asked(server, kind):
    server.obeys = False
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        with pytest.raises(ConstraintIgnored, match="unverified_constraints"):
            await decoder.acomplete("hi", constraint=Constraint(kind, "x"))
    assert len(server.bodies) == 1


async def test_going_on_without_is_possible_when_asked_for(server):
    server.obeys = False
    async with ServedDecoder(server.url, "first", preset="vllm", unverified_constraints=True) as decoder:
        completion = await decoder.acomplete("hi", constraint=Constraint("regex", "[0-9]+"))
    assert completion.text == "Warm."


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_text_that_does_not_satisfy_its_constraint_is_an_error(server, streamed):
    constraint = Constraint("regex", "[0-9]+")
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        with pytest.raises(ConstraintIgnored, match="Warm"):
            if streamed:
                [event async for event in decoder.astream("hi", constraint=constraint)]
            else:
                await decoder.acomplete("hi", constraint=constraint)


async def test_a_stop_string_may_cut_a_constrained_text(server):
    async with ServedDecoder(server.url, "first", preset="vllm") as decoder:
        constraint = Constraint("regex", r"Warm\. And dry\.")
        completion = await decoder.acomplete("hi", constraint=constraint, sampling=Sampling(stop=(" And",)))
    assert completion.text == "Warm."


async def test_a_kind_that_the_server_lacks_is_refused_without_asking(server):
    async with ServedDecoder(server.url, "first", preset="ollama") as decoder:
        with pytest.raises(ConstraintRefused, match="regex"):
            await decoder.acomplete("hi", constraint=Constraint("regex", "[0-9]+"))
    assert server.asked == []


@pytest.mark.parametrize(
    ("kind", "value", "text", "wrong"),
    [
        ("choice", ("yes", "no"), "yes", False),
        ("choice", ("yes", "no"), " yes\n", False),
        ("choice", ("yes", "no"), "maybe", True),
        ("regex", "[0-9]{3}", "123", False),
        ("regex", "[0-9]{3}", "1234", True),
        ("regex", "a.b", "a\nb", False),
        ("regex", r"\p{L}+", "any dialect", False),
        ("regex", "(a+)+b", "a" * 5000, False),
        ("regex", "a*a*a*a*a*b", "a" * 5000, False),
        ("json", {"type": "object", "required": ["n"]}, '{"n": 1}', False),
        ("json", {"type": "object", "required": ["n"]}, "{}", True),
        ("json", {"type": "object"}, "[]", True),
        ("json", {"type": "array"}, "{}", True),
        ("json", {"enum": [1, 2]}, "3", True),
        ("json", {"const": 1}, "1", False),
        ("json", {"type": "object"}, "Sure! {}", True),
        ("json", '{"type": "array"}', "[]", False),
        ("grammar", 'root ::= "a"', "b", False),
    ],
)
def test_only_certain_violations_are_reported_and_quickly(kind, value, text, wrong):
    start = time.monotonic()
    assert violates(Constraint(kind, value), Choice(text, "stop")) is wrong
    assert time.monotonic() - start < 0.5
    assert not violates(Constraint(kind, value), Choice(text, "length"))


@pytest.mark.parametrize(
    ("kind", "text", "finish", "passed"),
    [
        ("regex", "ember-7351-kiln", "stop", True),
        ("regex", "ember-7", "length", True),
        ("regex", "ember-7", "stop", False),
        ("regex", "", "length", False),
        ("choice", "Hello there!", "stop", False),
        ("json", '{ "hearth" :\n "ember-7351-kiln" }', "stop", True),
        ("json", '{"greeting": "hello"}', "stop", False),
        ("grammar", "Hello", "length", False),
        ("structural_tag", "ember-7351-kiln", "stop", True),
    ],
)
def test_what_passes_a_probe(kind, text, finish, passed):
    assert probe(kind).passed_by(Choice(text, finish)) is passed


# Retries


def busy(seconds=None):
    from decoder.refusals import refusal

    return refusal(429, '{"error": "busy"}', retry_after=seconds)


def test_waits_grow_within_their_cap_and_budget():
    backoff = Backoff(Retry(attempts=99, budget=10, base=1, cap=4), 1e9, uniform=lambda low, high: high)
    waits = []
    while (wait := backoff.wait_after(busy())) is not None:
        waits.append(wait)
    assert waits == [1, 2, 4]


def test_waits_are_spread():
    waits = {Backoff(Retry(), 1e12).wait_after(busy()) for _ in range(50)}
    assert len(waits) > 40
    assert all(0 <= wait <= Retry().base for wait in waits)


def test_retry_after_is_never_undercut():
    for _ in range(50):
        assert 2 <= Backoff(Retry(), 1e12).wait_after(busy(2)) < 2.5
    assert Backoff(Retry(budget=1), 1e12).wait_after(busy(2)) is None
    assert Backoff(Retry(), 100.0, clock=lambda: 99.0).wait_after(busy(2)) is None


def test_a_refusal_is_not_tried_again():
    assert Backoff(Retry(), 1e12).wait_after(RequestRefused("a", "b")) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Mon, 02 Nov 2026 10:00:30 GMT", 30.0),
        ("Mon, 02 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        (None, None),
    ],
)
def test_retry_after_headers(header, seconds):
    assert retry_after(header, now=1793613600.0) == seconds


def test_error_bodies_become_one_short_line():
    assert message_of('{"error": {"message": "a\\nb"}}') == "a b"
    assert message_of('{"error": "no"}') == "no"
    assert message_of('{"detail": [{"msg": "x"}]}') == '[{"msg": "x"}]'
    assert message_of("<html><h1>Bad</h1>\n Gateway</html>") == "Bad Gateway"
    assert message_of("") == ""
    assert len(message_of("x" * 10_000)) == LONGEST_CAUSE
