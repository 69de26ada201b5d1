"""What tests of several rooms share: an empty home, a web server on loopback that answers as it is told to, a tiny
random Llama made on the spot, one real vLLM process for the whole session, and Debian's Chromium.
"""

import asyncio
import gc
import json
import os
import shutil
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from decoder import tiny
from decoder.server import serve
from decoder.server_errors import VllmMissing
from decoder.server_options import ServeOptions, find_python

CORPUS = [
    "The hearth is in the middle of the house, and people gather round it in the evening.",
    "A decoder writes one token after another; each is drawn from a distribution over the vocabulary.",
    '{"name": "search", "arguments": {"query": "how is bread baked?", "limit": 5}}',
    "Question: what is the capital of France? Answer: Paris. Sources: [1], [2] and [3].",
    "def add(left: int, right: int) -> int:\n    return left + right\n",
] * 8

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] or '' }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
ROLES = ["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


JUDGED = ("test_alarms.py", "test_collapse.py", "test_judge.py", "test_metrics.py")
"""Files that use `judged_support.first`."""


LONG = ("vllm", "browser")
"""Groups that take minutes, and wait for other processes; first, so that neither process is left alone at the end."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config, items):
    """For `--dist loadgroup`: a file stays with a process; vLLM is started, the digits' judge trained, once.

    A wait in the browser that ran out has a second try, which the summary lists; what is asserted has one.
    """
    groups = {}
    for item in items:
        groups.setdefault(group_of(item), []).append(item)
    for name, members in groups.items():
        for item in members:
            item.add_marker(pytest.mark.xdist_group(name))
            if "chromium" in item.fixturenames:
                item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["TimeoutError"]))
    if hasattr(config, "workerinput"):
        items[:] = [item for _, members in sorted(groups.items(), key=turn) for item in members]


def group_of(item):
    if "vllm_server" in item.fixturenames or item.get_closest_marker("vllm"):
        return "vllm"
    if item.path.name in JUDGED:
        return "judge"
    return "browser" if "chromium" in item.fixturenames else str(item.path)


def turn(group):
    """With `--no-loadscope-reorder`, groups are run in this order: long ones, those of slow tests, those of many."""
    name, members = group
    slow = any(item.get_closest_marker("slow") for item in members)
    return LONG.index(name) if name in LONG else len(LONG), not slow, -len(members)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Of a failed test in the browser, what its page showed."""
    report = yield
    page = getattr(item, "funcargs", {}).get("window")
    if report.when == "call" and report.failed and page is not None:
        with suppress(Exception):
            report.sections.append(("page", f"{page.url}\n{page.inner_text('body', timeout=2000)}"))
    return report


running_vllm = []
"""The server of this process, while it runs."""


def pytest_runtest_setup(item):
    """A process of several runs a group without a break: once others follow, vLLM, which is never idle, has done."""
    marker = item.get_closest_marker("xdist_group")
    if running_vllm and hasattr(item.config, "workerinput") and marker.args[0] != "vllm":
        stop_vllm()


def stop_vllm():
    home, server = running_vllm.pop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(home))
        server.stop()


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """What is there when a file begins, packages and collected tests, is left out of the search for garbage.

    A search through these million objects takes half a second and more; Streamlit and trainers ask for one at each run.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory):
    """HEARTH_HOME for the tests that set none of their own; caches of models' vectors would else outlive the run."""
    before = os.environ.get("HEARTH_HOME")
    os.environ["HEARTH_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ["HEARTH_HOME"]
    else:
        os.environ["HEARTH_HOME"] = before


@pytest.fixture(scope="session")
def judges(tmp_path_factory):
    """A folder of this run for HEARTH_GENERATORS_JUDGES, shared by its processes: a judge takes ten CPU seconds."""
    base = tmp_path_factory.getbasetemp()
    return str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "judges")


class Web:
    """Pages by path: bytes of a whole answer, or a coroutine function of the writer. Keeps what it was asked."""

    def __init__(self):
        self.pages, self.requests, self.base = {}, [], ""

    def page(self, path, body=b"", status="200 OK", **headers):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.pages[path] = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        return self.base + path

    def redirect(self, path, location, status="302 Found"):
        return self.page(path, status=status, Location=location)

    def raw(self, path, answer):
        self.pages[path] = answer
        return self.base + path

    def paths(self):
        return [request.split(" ", 2)[1] for request in self.requests]

    async def _serve(self, reader, writer):
        try:
            await self._answer(reader, writer)
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _answer(self, reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(request)
            path = request.split(" ", 2)[1]
            answer = self.pages.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            if isinstance(answer, bytes):
                writer.write(answer)
            elif asyncio.iscoroutinefunction(answer):
                await answer(writer)
            else:
                writer.write(answer(request))
            await writer.drain()


@pytest.fixture
def web():
    """A `Web` at `http://127.0.0.1:<port>`, served by a thread of its own."""
    found, loop = Web(), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(found._serve, "127.0.0.1", 0))
    found.port = server.sockets[0].getsockname()[1]
    found.base = f"http://127.0.0.1:{found.port}"
    found.allowed = (f"127.0.0.1:{found.port}",)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield found

    async def stop():
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed transports say goodbye to their sockets

    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def build_tokenizer(folder):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|begin|>", "<|end|>", *ROLES]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", bos_token="<|begin|>", eos_token="<|end|>"
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    return fast


def build_llama(folder):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def build_adapter(folder, llama, seed, rank=4):
    """A random LoRA on the attention projections, large enough to change every answer."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((llama / "config.json").read_text())
    width = config["hidden_size"]
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(config["num_hidden_layers"]):
        for module in ("q_proj", "o_proj"):
            key = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            weights[f"{key}.lora_A.weight"] = torch.randn(rank, width, generator=generator)
            weights[f"{key}.lora_B.weight"] = torch.randn(width, rank, generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    described = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(llama),
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "o_proj"],
        "bias": "none",
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory):
    """A folder with a random Llama of 0.7M parameters (head size 32), its tokenizer and its chat template."""
    pytest.importorskip("transformers", reason="the tiny model is made with transformers")
    pytest.importorskip("torch", reason="the tiny model is made with torch")
    return build_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def hearth_tiny():
    """The folder of the packaged hearth-tiny: a real model, however small."""
    if not tiny.is_usable():
        pytest.skip(f"{tiny.NAME} cannot run here: its weights are not in decoder/models, or torch is missing")
    return tiny.path()


@pytest.fixture
def no_tiny(monkeypatch):
    """As where hearth-tiny cannot run: without a server there is then no decoder at all."""
    monkeypatch.setattr(tiny, "is_usable", lambda: False)


@pytest.fixture
def tiny_stand_in(tiny_llama, monkeypatch):
    """The random Llama in hearth-tiny's place, in this process."""
    monkeypatch.setattr(tiny, "path", lambda: tiny_llama)
    return tiny_llama


@pytest.fixture(scope="session")
def make_adapter(tiny_llama, tmp_path_factory):
    """make_adapter(seed, rank=4) -> folder of a random LoRA adapter of the tiny Llama."""

    def make(seed, rank=4):
        return build_adapter(tmp_path_factory.mktemp("adapters") / "lora", tiny_llama, seed, rank)

    return make


@pytest.fixture(scope="session")
def vllm_home(tmp_path_factory):
    """HEARTH_HOME of the vLLM process; set it to use more of `vllm_server` than its address."""
    return tmp_path_factory.mktemp("vllm-home")


@pytest.fixture(scope="session")
def vllm_server(tiny_llama, vllm_home):
    """The one vLLM process of the session, with a home of its own: `base_url` (with /v1) and `model`.

    It is stopped when the session ends, however it ends; in one of several processes, when its tests have run.
    """
    try:
        find_python()
    except VllmMissing as missing:
        pytest.skip(f"vLLM is not installed: {missing}")
    options = ServeOptions(
        name="tiny-llama",
        max_model_len=2048,
        dtype="float32",
        kv_cache_gib=1,
        enforce_eager=True,
        lora=True,
        max_lora_rank=8,
        max_loras=64,  # more than the tests load: see ServeOptions
        restart_delay=0.1,
        start_timeout=280,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(vllm_home))
        server = serve(str(tiny_llama), options)
    running_vllm.append((vllm_home, server))
    yield server
    if running_vllm:
        stop_vllm()


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium, headless. While it runs, asyncio is playwright's own in this thread, so each file has one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture
def window(chromium):
    """A fresh browser window. Whatever it asks of any other place than this machine fails the test at its end."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    strangers, failures = [], []
    context.on("request", lambda request: strangers.append(request.url) if _off_list(request.url) else None)
    page = context.new_page()
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert not strangers
    assert not failures


def _off_list(url):
    place = urlsplit(url)
    return place.scheme in ("http", "https", "ws", "wss") and place.hostname not in ("127.0.0.1", "localhost")
