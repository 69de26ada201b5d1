"""Which classes an index may name: pipelines of diffusers, and parts of diffusers and transformers that load plainly.

A part is known by its base (network, scheduler, tokenizer, processor), and by loading as its base does: a class with a
`from_pretrained` of its own, or a whole pipeline as a part, follows files that nobody has checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generators.errors import PipelineRefused

STEP = "checking the pipeline"
INDEX_REMEDY = "Save the pipeline anew with save_pretrained of diffusers"
COMPONENT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
BASES = (
    *("diffusers:ModelMixin", "diffusers.schedulers.scheduling_utils:SchedulerMixin", "transformers:PreTrainedModel"),
    *("transformers:PreTrainedTokenizerBase", "transformers:ProcessorMixin"),
    *("transformers.image_processing_base:ImageProcessingMixin",),
    *("transformers.feature_extraction_utils:FeatureExtractionMixin",),
)
"""Of parts that load by a configuration and weights or words beside it, and by nothing else."""


def pipeline_class(said: Mapping[str, Any], index: Path) -> str:
    """The name of the pipeline's class. Raises PipelineRefused where it is none of diffusers."""
    import diffusers

    name = said.get("_class_name")
    if isinstance(name, list):
        raise PipelineRefused(STEP, f"{index} names a pipeline of its own code", "Take one of diffusers' pipelines")
    found = getattr(diffusers, name, None) if isinstance(name, str) and COMPONENT.fullmatch(name) else None
    if not isinstance(found, type) or not issubclass(found, diffusers.DiffusionPipeline):
        raise PipelineRefused(
            STEP, f"{index}: _class_name {str(name)[:80]!r} is no pipeline of diffusers", INDEX_REMEDY
        )
    if getattr(found, "_load_connected_pipes", False):
        cause = f"{index}: {name} loads further pipelines from the hub, which nobody pinned"
        raise PipelineRefused(STEP, cause, "Take a pipeline that is whole")
    return str(name)


def part_class(library: str, cls: str, index: Path) -> type:
    """The class of a part: of diffusers, of transformers, or of one of diffusers' own pipeline packages.

    Raises:
        PipelineRefused: it is none of theirs, or does not load as their parts do.
    """
    import importlib
    import importlib.util

    module = library if library in ("diffusers", "transformers") else f"diffusers.pipelines.{library}"
    known = library.isidentifier() and (library == module or importlib.util.find_spec(module) is not None)
    if not known or not COMPONENT.fullmatch(cls):
        cause = f"{index}: {library[:80]}.{cls[:80]} is neither of diffusers nor of transformers"
        raise PipelineRefused(STEP, cause, "Take a pipeline without code of its own")
    found = getattr(importlib.import_module(module), cls, None)
    if not isinstance(found, type) or not _loads_plainly(found) or cls.startswith(("Onnx", "Flax")):
        raise PipelineRefused(STEP, f"{index}: {library}.{cls} is no part that can be loaded safely", INDEX_REMEDY)
    return found


def _loads_plainly(found: type) -> bool:
    import importlib

    def load(cls: type) -> Any:
        return getattr(getattr(cls, "from_pretrained", None), "__func__", None)

    for base in BASES:
        module, _, name = base.partition(":")
        known = getattr(importlib.import_module(module), name)
        if issubclass(found, known):
            return load(found) is load(known)
    return False
