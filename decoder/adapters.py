"""LoRA adapters of a running server: loaded and unloaded without a restart.

vLLM keys its cache by an adapter's name and path, so weights that changed under the same path would be answered
from the old ones' cache. Each content therefore gets a folder of its own, named by its hash; the copy is also what
a restarted server loads again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from decoder.errors import UnknownModel
from decoder.file_lock import take
from decoder.server_errors import AdapterFailed, AdapterUnusable
from decoder.server_http import error_message, request
from decoder.server_options import check_name
from decoder.server_state import folder

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
LOCK_SECONDS = 60.0
LOADING, UNLOADING = "loading the adapter", "unloading the adapter"


def load(base_url: str, adapter: str, path: str, *, api_key: str = "", timeout: float = 120.0) -> None:
    """Have a server load the adapter in `path`, a folder on the server's machine, as model name `adapter`.

    Raises:
        AdapterFailed: the server refused: it runs without `lora`, the name is taken, or the weights do not fit.
        ConnectFailed: no server answered.
    """
    body = {"lora_name": adapter, "lora_path": path}
    status, text = request(base_url, "/v1/load_lora_adapter", body, api_key=api_key, timeout=timeout)
    if status == 404 and "adapter" not in text.lower():
        raise AdapterFailed(LOADING, "the server takes no adapters while it runs", "Start it with lora (--lora)")
    if status != 200:
        raise AdapterFailed(LOADING, f"{adapter}: {error_message(text)} (HTTP {status})", "See the server's log")


def unload(base_url: str, adapter: str, *, api_key: str = "", timeout: float = 120.0) -> None:
    """Have a server forget an adapter.

    Raises:
        UnknownModel: it has none of this name.
        AdapterFailed, ConnectFailed: it did not do so.
    """
    body = {"lora_name": adapter}
    status, text = request(base_url, "/v1/unload_lora_adapter", body, api_key=api_key, timeout=timeout)
    if status == 404:
        raise UnknownModel(UNLOADING, f"the server has no adapter {adapter}", "See /v1/models for those it has")
    if status != 200:
        raise AdapterFailed(UNLOADING, f"{adapter}: {error_message(text)} (HTTP {status})", "See the server's log")


def snapshot(server: str, adapter: str, source: Path) -> Path:
    """Copy an adapter's configuration and weights to a folder named by their content. Returns that folder.

    Raises:
        AdapterUnusable: a file is missing, or the weights are not safetensors (a pickle is never loaded).
    """
    check_name(adapter)
    _check(source)
    root = folder() / server / "adapters"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=root, prefix=".copy-") as name:
        aside = Path(name) / "adapter"
        aside.mkdir(mode=0o755)
        digest = hashlib.sha256()
        for file in (CONFIG, WEIGHTS):
            shutil.copyfile(source / file, aside / file)
            with (aside / file).open("rb") as copied:
                digest.update(hashlib.file_digest(copied, "sha256").digest())
        target = root / f"{adapter}-{digest.hexdigest()[:16]}"
        if not target.exists():
            with contextlib.suppress(FileExistsError):
                aside.rename(target)
    return target


def _check(source: Path) -> None:
    for file in (CONFIG, WEIGHTS):
        if not (source / file).is_file():
            pickled = " (adapter_model.bin is a pickle)" if (source / "adapter_model.bin").exists() else ""
            raise AdapterUnusable(LOADING, f"{source} has no {file}{pickled}", "Save it with peft as safetensors")
    try:
        configuration = json.loads((source / CONFIG).read_text(encoding="utf-8"))
        with (source / WEIGHTS).open("rb") as weights:
            length = int.from_bytes(weights.read(8), "little")
            header = json.loads(weights.read(min(length, 100 * 2**20)))
        if not isinstance(configuration, dict) or not isinstance(header, dict):
            raise ValueError("it holds no object")
    except (ValueError, RecursionError) as error:
        raise AdapterUnusable(LOADING, f"{source} is damaged: {error}", "Save it with peft as safetensors") from error


def remembered(server: str) -> dict[str, str]:
    """Names and folders of the adapters that a restarted server must load again."""
    try:
        listed = json.loads((folder() / server / "adapters.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(path) for name, path in listed.items() if Path(path).is_dir()}


def remember(server: str, adapter: str, path: Path | None) -> None:
    """Note where an adapter is; None forgets it."""
    with _locked(server) as home_of_server:
        listed = remembered(server)
        listed.pop(adapter, None)
        if path is not None:
            listed[adapter] = str(path)
        aside = home_of_server / ".adapters.json"
        aside.write_text(json.dumps(listed, indent=1), encoding="utf-8")
        aside.replace(home_of_server / "adapters.json")


def forget_all(server: str) -> None:
    """Remove the copies and the list; the originals stay."""
    shutil.rmtree(folder() / server, ignore_errors=True)


@contextlib.contextmanager
def _locked(server: str) -> Iterator[Path]:
    home_of_server = folder() / server
    home_of_server.mkdir(exist_ok=True, mode=0o700)
    with (home_of_server / ".lock").open("w") as lock:
        if not take(lock, LOCK_SECONDS):
            cause = f"another process has been at the adapters of {server} for {LOCK_SECONDS:g} s"
            raise AdapterFailed(LOADING, cause, "Look for one that hangs")
        yield home_of_server
