"""LoRA weights on a pipeline: laid on while a picture is made, taken off after.

Source: E. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021), equation 3: W + scale * B A.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoder.errors import MissingExtra
from generators.errors import GeneratorError, ModelError, PipelineRefused
from generators.pipelines_loading import BROKEN, count_parameters, digest_file, first_line, read_header
from generators.quiet import libraries_quiet

STEP = "laying on LoRA weights"
MAX_LORAS = 8
REMEDY = "Save the weights anew without it, or take others"
REFUSED = frozenset({"megatron_config", "auto_mapping", "layer_replication", "modules_to_save"}) | {
    f"{name}_config" for name in ("loftq", "eva", "corda", "lora_ga", "velora", "monteclora", "arrow", "kasa")
}
"""Of peft's LoraConfig: they import a module by name, or change the model beyond the weights that are laid on."""


@dataclass(frozen=True, slots=True)
class Lora:
    """Weights in a safetensors file, and how much of them.

    Attributes:
        path: of the file.
        scale: 1 is what was trained; 0 is nothing.
    """

    path: Path
    scale: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Lora:
        """From `file.safetensors` or `file.safetensors:0.8`. Raises GeneratorError."""
        path, colon, scale = text.rpartition(":")
        if not colon or scale.endswith(".safetensors"):
            return cls(Path(text).expanduser())
        try:
            return cls(Path(path).expanduser(), float(scale))
        except ValueError as error:
            raise GeneratorError(STEP, f"{scale!r} is no scale", "Write file.safetensors:0.8") from error


def check_loras(loras: Sequence[Lora]) -> None:
    """Refuse what is no safetensors file. Raises GeneratorError, PipelineRefused."""
    if len(loras) > MAX_LORAS:
        raise GeneratorError(STEP, f"{len(loras)} are more than {MAX_LORAS}", "Use fewer")
    for lora in loras:
        if not math.isfinite(lora.scale) or abs(lora.scale) > 100:
            raise GeneratorError(STEP, f"{lora.path} at scale {lora.scale}", "Choose a scale from -100 to 100")
        if lora.path.suffix != ".safetensors":
            raise PipelineRefused(STEP, f"{lora.path} is no .safetensors file", "Take the weights as safetensors")
        if not lora.path.is_file():
            raise GeneratorError(STEP, f"there is no file {lora.path}", "Name a safetensors file")
        count_parameters([lora.path])
        _check_configuration(lora.path)


def _check_configuration(path: Path) -> None:
    """Refuse a configuration in the header that does more than say rank, scale and layers.

    peft imports a module that `megatron_core` names, and rewrites the model's own weights for some initialisations.
    """
    about = read_header(path).get("__metadata__") or {}
    text = about.get("lora_adapter_metadata") if isinstance(about, dict) else None
    try:
        said = json.loads(text) if text else {}
        found = {str(key).rpartition(".")[2]: value for key, value in said.items()}
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise PipelineRefused(STEP, f"{path}: its lora_adapter_metadata is no JSON object", REMEDY) from error
    start = found.get("init_lora_weights", True)
    refused = [key for key in sorted(REFUSED) if found.get(key)]
    refused += [] if isinstance(start, bool) or start == "gaussian" else ["init_lora_weights"]
    if refused:
        raise PipelineRefused(STEP, f"{path}: its configuration sets {', '.join(refused)}", REMEDY)


@contextmanager
def laid_on(pipeline: Any, loras: Sequence[Lora]) -> Iterator[None]:
    """The pipeline with these weights; without them again at the end.

    Raises:
        ModelError: the weights are not for this pipeline.
        MissingExtra: peft is not installed.
    """
    if not loras:
        yield
        return
    if not hasattr(pipeline, "load_lora_weights"):
        raise ModelError(STEP, f"{type(pipeline).__name__} takes no LoRA weights", "Draw without them")
    try:
        _lay_on(pipeline, loras)
        yield
    finally:
        pipeline.unload_lora_weights()


def _lay_on(pipeline: Any, loras: Sequence[Lora]) -> None:
    import importlib.util

    if importlib.util.find_spec("peft") is None:
        raise MissingExtra(STEP, "peft", "generate")
    names = [f"lora_{number}" for number in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        place = lora.path.absolute()  # not resolved: a link's target may be named otherwise, and be read as a pickle
        try:
            with libraries_quiet():
                pipeline.load_lora_weights(
                    str(place.parent), weight_name=place.name, adapter_name=name, use_safetensors=True,
                    local_files_only=True,
                )  # fmt: skip
        except BROKEN as error:
            raise ModelError(STEP, f"{lora.path}: {first_line(error)}", "Take weights made for this model") from error
    laid = set().union(*pipeline.get_list_adapters().values())
    for name, lora in zip(names, loras, strict=True):
        if name not in laid:
            raise ModelError(STEP, f"{lora.path} has nothing for this model", "Take weights made for this model")
    with libraries_quiet():
        pipeline.set_adapters(names, [lora.scale for lora in loras])


def lora_digest(lora: Lora) -> str:
    """SHA-256 of the file, in hexadecimal."""
    return digest_file(lora.path)
