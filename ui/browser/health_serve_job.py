"""The job of kind "serve": starts a vLLM server that goes on when the job has ended, and tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from decoder.errors import HearthError, UsageError
from ui.browser.job_process import Running

if TYPE_CHECKING:
    from decoder.server import Progress, RunningServer

ALLOWED = frozenset(
    {
        "name", "max_model_len", "dtype", "lora", "max_loras", "max_lora_rank", "kv_cache_gib",
        "gpu_memory_utilization", "enforce_eager", "start_timeout",
    }
)  # fmt: skip
"""Options that a page may give; the server listens on this machine alone."""


def run(spec: Mapping[str, Any], job: Running) -> Mapping[str, Any]:
    """Start the server of `spec` (model, options) and wait until it is healthy.

    Raises:
        UsageError: an option that a page may not give; VllmMissing, ServerExists, ServerStartFailed as `serve`.
    """
    from decoder import server

    options: Mapping[str, Any] = spec["options"]
    if unknown := sorted(options.keys() - ALLOWED):
        raise UsageError("starting the server", f"the page cannot set {unknown[0]}", "Use `hearth serve`")

    def tell(progress: Progress) -> None:
        job.tell(phase=progress.phase, seconds=progress.seconds, line=progress.line)

    running = server.serve(str(spec["model"]), server.ServeOptions(**options), tell, detach=True)
    return {"name": running.name, "base_url": running.base_url, **_load_promoted(running)}


def _load_promoted(running: RunningServer) -> dict[str, str]:
    """What was promoted in the model's place answers again; a server that is stopped forgets its adapters."""
    from decoder import alias

    target = alias.targets().get(running.model)
    if target is None or not target.model:
        return {}
    from alignment.registry_serving import load

    try:
        load(target.model, running)
    except HearthError as error:
        return {"promoted": target.model, "not_loaded": f"{error.cause}. {error.remedy}"}
    return {"promoted": target.model}
