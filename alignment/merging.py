"""An adapter's weights added to its base's: a whole model, for whatever runs no adapters."""

from __future__ import annotations

import shutil
from pathlib import Path

from alignment.models import checked_adapter, load_decoder, load_tokenizer, require_training
from alignment.sections import ModelSection
from decoder.errors import UsageError

STEP = "merging an adapter"


def merge(base: str, adapter: str, out: Path) -> None:
    """Write a folder with the whole model in float32 safetensors, the base's tokenizer and its chat template.

    Args:
        base, adapter: as in `alignment.policies.Policies`.
        out: a folder that is not there yet, or is empty; it is whole or stays away.

    Raises:
        UsageError: there is something at `out`, or it cannot be written.
        ModelError, WrongBase: base or adapter cannot be loaded.
    """
    require_training()
    _check_free(out)
    section = ModelSection(path=base, adapter=str(checked_adapter(adapter, base)), dtype="float32")
    tokenizer = load_tokenizer(section)
    whole = load_decoder(section, trainable=False).merge_and_unload()
    aside = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        whole.save_pretrained(str(aside))
        tokenizer.save_pretrained(str(aside))
        aside.replace(out)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UsageError(STEP, f"{out}: {error.strerror or error}", "Give another folder") from error


def _check_free(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(STEP, f"{out} is there already", "Give a folder that is not there yet")
