"""What a vLLM process is started with: its interpreter, its arguments, its environment.

Knows vLLM's flags and nothing of processes; vllm itself is never imported. docs/serving.md explains the options.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decoder.errors import SettingsError, UsageError
from decoder.server_errors import VllmMissing
from decoder.settings import home, section

STEP = "starting the server"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Flags that have a field here, or that would break what the rest relies on.
OWN_FLAGS = ("--model", "--served-model-name", "--host", "--port", "--uds", "--api-key", "--load-format", "--root-path")
# The caller's own paths and secrets are no business of the server's; PYTHONPATH would also put `agents`, `rag`,
# ... in front of whatever vLLM's dependencies call by these names.
NOT_INHERITED = re.compile(r"PYTHON(PATH|HOME|STARTUP|SAFEPATH)|VIRTUAL_ENV|HEARTH_.*|.*_API_KEY")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Section `[server]`.

    Attributes:
        python: interpreter of the environment that vLLM is in (HEARTH_SERVER_PYTHON); empty means `.venv-vllm`.
        start_timeout: seconds until the server must be healthy.
        api_key: HEARTH_SERVER_API_KEY, never in the file; requests to `/v1` must then carry it.
    """

    python: str = ""
    start_timeout: float = 900.0
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How a model is served. None leaves vLLM's own default.

    Attributes:
        name: what the server and its base model are called; empty means the model's last path part.
        port: 0 takes a free one.
        expose: allow a host other than loopback. vLLM guards only `/v1` with its key, so put a proxy before it.
        random_key: make an API key and keep it in the state file.
        kv_cache_gib: memory of the key-value cache on a CPU, in GiB.
        gpu_memory_utilization: share of each GPU's memory that vLLM may take, in (0, 1].
        lora: allow adapters to be loaded and unloaded while it runs.
        max_loras: adapters in one batch. On a CPU, vLLM 0.32.0 gives requests to the base model that share a batch with
            an adapter's the weights of whatever adapter is in the last of these places (`lora_ops.py` takes the index
            -1, which means none, for the last), and unloading empties no place: give more than will ever be loaded.
            max_lora_rank: 1, 8, 16, 32, 64, 128, 256, 320 or 512.
        load_format: "safetensors" refuses pickled weights; "gguf", "mistral" and others are vLLM's.
        max_restarts: how often in a row a server that died is started again.
        restart_delay: seconds before the first restart; doubled for each further one, at most 60.
        stop_grace: seconds that vLLM has to end by itself when it is stopped, before it is killed.
        probe: check that constraints are enforced before the server counts as started.
        environment: further variables for the process.
        extra: further arguments, passed to vLLM as they are.
    """

    name: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    expose: bool = False
    api_key: str = field(default="", repr=False)
    random_key: bool = False
    max_model_len: int | None = None
    dtype: str = "auto"
    quantization: str | None = None
    load_format: str = "safetensors"
    gpu_memory_utilization: float | None = None
    kv_cache_gib: int = 4
    enforce_eager: bool = False
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    distributed_executor_backend: str | None = None
    lora: bool = False
    max_loras: int = 4
    max_lora_rank: int = 16
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    chat_template: str | None = None
    start_timeout: float | None = None
    max_restarts: int = 5
    restart_delay: float = 1.0
    stop_grace: float = 20.0
    probe: bool = True
    environment: tuple[tuple[str, str], ...] = ()
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.host not in LOOPBACK and not self.expose:
            remedy = "Keep 127.0.0.1, or set expose (--expose) behind a proxy that passes /v1 alone"
            raise UsageError(STEP, f"host {self.host} can be reached from other machines", remedy)
        for size in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "kv_cache_gib"):
            if getattr(self, size) < 1:
                raise UsageError(STEP, f"{size}={getattr(self, size)} is below 1", "Give 1 or more")
        if self.load_format in ("pt", "npcache", "auto"):
            raise UsageError(STEP, f"load_format={self.load_format} may read pickled weights", "Use safetensors")
        for word in self.extra:
            _check_extra(word)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the state file; the key is kept elsewhere."""
        return dataclasses.asdict(dataclasses.replace(self, api_key=""))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ServeOptions:
        """The inverse of `to_json`."""
        pairs = tuple((str(k), str(v)) for k, v in data["environment"])
        return cls(**{**data, "environment": pairs, "extra": tuple(data["extra"])})


def _check_extra(word: str) -> None:
    # argparse takes underscores for hyphens in vLLM, `--flag=value`, and any unambiguous beginning of a flag.
    flag = word.partition("=")[0].replace("_", "-")
    if len(flag) > 4 and "--trust-remote-code".startswith(flag):
        raise UsageError(STEP, "trust_remote_code runs code that comes with the weights", "Choose another model")
    if flag in OWN_FLAGS:
        raise UsageError(STEP, f"{flag} among the extra arguments", "Use the option of this name")


def check_name(name: str) -> str:
    """A name that is safe as a file name and as a model's name. Raises UsageError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(STEP, f"{name!r} is no usable server name", "Use letters, digits, dot, hyphen, underscore")
    return name


def default_name(model: str) -> str:
    """The last part of a path or of a hub name, with what a file name cannot hold replaced."""
    last = Path(model).expanduser().resolve().name if is_local(model) else model.rsplit("/", 1)[-1]
    return check_name(re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")[:100] or "model")


def is_local(model: str) -> bool:
    """Whether the model is a folder or file of this machine rather than a name on a hub."""
    return Path(model).expanduser().exists()


def find_python() -> Path:
    """The interpreter that vLLM runs in: setting [server] python, else `.venv-vllm` of the repo, then of `home()`.

    Raises:
        VllmMissing: there is none.
    """
    if explicit := section("server", ServerSettings).python:
        found = shutil.which(str(Path(explicit).expanduser()))
        if found is None:
            raise VllmMissing(STEP, f"HEARTH_SERVER_PYTHON or [server] python is {explicit}, no program", "Mend it")
        return Path(found).absolute()
    for root in (Path(__file__).parents[1], Path.cwd(), home()):
        candidate = root / ".venv-vllm" / "bin" / "python"
        if os.access(candidate, os.X_OK):
            return candidate.absolute()
    raise VllmMissing(STEP, "there is no environment with vLLM", "Run `make vllm`, or set HEARTH_SERVER_PYTHON")


def command(
    python: Path, model: str, name: str, port: int, options: ServeOptions, adapters: Mapping[str, str]
) -> list[str]:
    """The process's arguments. `-P` keeps the working directory off vLLM's module path."""
    local = str(Path(model).expanduser().resolve()) if is_local(model) else model
    words = [str(python), "-P", "-m", "vllm.entrypoints.openai.api_server", "--model", local]
    words += ["--served-model-name", name, "--host", options.host, "--port", str(port)]
    words += ["--dtype", options.dtype, "--load-format", options.load_format, "--enable-prompt-tokens-details"]
    valued = (
        ("--max-model-len", options.max_model_len),
        ("--quantization", options.quantization),
        ("--gpu-memory-utilization", options.gpu_memory_utilization),
        ("--distributed-executor-backend", options.distributed_executor_backend),
        ("--tool-call-parser", options.tool_call_parser),
        ("--reasoning-parser", options.reasoning_parser),
        ("--chat-template", options.chat_template),
        ("--tensor-parallel-size", options.tensor_parallel_size if options.tensor_parallel_size > 1 else None),
        ("--pipeline-parallel-size", options.pipeline_parallel_size if options.pipeline_parallel_size > 1 else None),
        ("--data-parallel-size", options.data_parallel_size if options.data_parallel_size > 1 else None),
    )
    for flag, value in valued:
        words += [flag, str(value)] if value is not None else []
    words += ["--enable-auto-tool-choice"] if options.tool_call_parser else []
    words += ["--enforce-eager"] if options.enforce_eager else []
    if options.lora:
        words += ["--enable-lora", "--max-loras", str(options.max_loras), "--max-lora-rank", str(options.max_lora_rank)]
        words += ["--lora-modules", *(f"{k}={v}" for k, v in adapters.items())] if adapters else []
    return [*words, *options.extra]


def environment(model: str, options: ServeOptions, api_key: str) -> dict[str, str]:
    """The process's environment: the caller's without its Python paths and secrets, and vLLM's own variables."""
    result = {key: value for key, value in os.environ.items() if not NOT_INHERITED.fullmatch(key)}
    result["VLLM_CPU_KVCACHE_SPACE"] = str(options.kv_cache_gib)
    result["VLLM_NO_USAGE_STATS"] = result["DO_NOT_TRACK"] = "1"
    if is_local(model):
        result["HF_HUB_OFFLINE"] = "1"
    if options.lora:
        result["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if api_key:
        result["VLLM_API_KEY"] = api_key  # not an argument: those can be read by every user of the machine
    result.update(options.environment)
    return result


def api_key(options: ServeOptions) -> str:
    """The key given, else that of the environment, else a random one where it was asked for; else none."""
    import secrets

    given = options.api_key or section("server", ServerSettings).api_key
    return given or (secrets.token_urlsafe(24) if options.random_key else "")


def start_timeout(options: ServeOptions) -> float:
    """Seconds until the server must be healthy."""
    given = options.start_timeout
    value = section("server", ServerSettings).start_timeout if given is None else given
    if value <= 0:
        raise SettingsError(STEP, f"start_timeout={value} is not positive", "Give seconds")
    return value
