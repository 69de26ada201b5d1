"""What sound and moving pictures have in common: a loaded pipeline, one call of it, and a note beside the file."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from generators.draw_request import MAX_SEED, MAX_STEPS, check_range, check_text
from generators.drawing import Watch, call
from generators.errors import GeneratorError, ImageError
from generators.picture_notes import library_versions
from generators.pipeline_schedulers import check_own
from generators.pipeline_tasks import default_of, parameters
from generators.pipelines_loading import LoadedPipeline
from generators.previews import Step

if TYPE_CHECKING:
    from torch import Tensor

STEP = "making"


def run_media(
    loaded: LoadedPipeline,
    prompt: str,
    negative_prompt: str,
    steps: int,
    guidance_scale: float | None,
    seed: int | None,
    more: Mapping[str, Any],
    watch: Watch,
) -> tuple[Any, dict[str, Any]]:
    """Call a pipeline once, and say how.

    Args:
        more: further arguments of its call; one that it does not take is refused.

    Returns:
        What the pipeline returns, and the settings as plain data.

    Raises:
        GeneratorError: it cannot be made as asked.
        Cancelled: see Watch.
    """
    import torch

    pipeline = loaded.pipeline
    chosen = secrets.randbelow(2**32) if seed is None else seed
    check_text(prompt, "the prompt")
    check_text(negative_prompt, "the negative prompt", may_be_empty=True)
    check_range("steps", steps, 0, MAX_STEPS)
    check_range("seed", chosen, 0, MAX_SEED)
    if guidance_scale is not None:
        check_range("guidance_scale", guidance_scale, 0, 100)
    asked = {
        "num_inference_steps": steps or default_of(pipeline, "num_inference_steps") or 50,
        "guidance_scale": default_of(pipeline, "guidance_scale") if guidance_scale is None else guidance_scale,
        **({"negative_prompt": negative_prompt} if negative_prompt.strip() else {}),
        **more,
    }
    _check_known(pipeline, asked)
    check_own(pipeline)
    watch.check()
    told = _telling(pipeline, watch, asked["num_inference_steps"])
    generator = torch.Generator("cpu").manual_seed(chosen)
    found = call(pipeline, {**asked, **told, "prompt": prompt, "generator": generator}, watch)
    said = {"prompt": prompt, "negative_prompt": negative_prompt, "seed": chosen, **asked}
    identity = loaded.identity
    said |= {"model": identity.name, "revision": identity.revision, "model_sha256": identity.sha256}
    said |= {"pipeline": type(pipeline).__name__, "scheduler": type(pipeline.scheduler).__name__}
    return found, {**said, "dtype": loaded.plan.dtype, "device": loaded.plan.device, "versions": library_versions()}


def _check_known(pipeline: Any, asked: Mapping[str, Any]) -> None:
    for name, value in asked.items():
        if value is not None and name not in parameters(pipeline):
            cause = f"{type(pipeline).__name__} takes no {name}"
            raise GeneratorError(STEP, cause, "Leave it out, or take another model")


def _telling(pipeline: Any, watch: Watch, steps: int) -> dict[str, Any]:
    """The pipeline's way to tell of steps: the new callback, the old one, or none."""

    def tell(number: int) -> None:
        watch.tell(Step(number, int(getattr(pipeline, "num_timesteps", 0) or steps), 0, _no_preview))

    def new(_: Any, index: int, __: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        tell(index + 1)
        return tensors

    def old(index: int, _: Any, __: Any) -> None:
        tell(index + 1)

    known = parameters(pipeline)
    if "callback_on_step_end" in known:
        return {"callback_on_step_end": new}
    return {"callback": old, "callback_steps": 1} if "callback" in known else {}


def _no_preview() -> NoReturn:
    raise GeneratorError(STEP, "sound and moving pictures have no previews", "Wait for the whole")


def write_whole(path: Path, write: Callable[[Path], None], said: Mapping[str, Any]) -> Path:
    """The file by `write`, whole or not at all, and `said` beside it as `<file>.json`. Raises ImageError."""
    part = path.with_name(f".{secrets.token_hex(8)}-{path.name}")  # a name that nobody can have put a link at
    try:
        write(part)
        part.replace(path)
        path.with_name(path.name + ".json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ImageError("saving", f"{path}: {error}", "Choose another place") from error
    return path
