"""Puts a trained hearth-tiny into the package: `python -m ui.tiny.ship RUN/model`.

Weights are saved in bfloat16 as safetensors, with the tokenizer, its chat template and what generation needs; what a
training leaves beside them stays behind. The folder is taken only if it is small, and if what it says is what the
trained model says in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from decoder import tiny
from decoder.errors import HearthError, UsageError

STEP = "shipping a model"
MOST_BYTES = 40_000_000
"""Of the whole folder: it is in the repository and in every wheel."""
TEMPERATURE = 0.1
"""Where a request names none, as an agent's do not: a model this small says its likeliest words or nonsense."""
NEW_TOKENS = 48
ASKED = ("Hello", "What is 12 + 30?", "Which day follows Monday? Think step by step.")
"""What both are asked, greedily."""


def ship(source: Path, target: Path) -> int:
    """Make `target` anew from the trained model in `source`; returns its bytes.

    Raises:
        UsageError: `source` is no model with a chat template, is too large, or says something else in bfloat16 once
            it is saved. `target` is then as it was.
    """
    if not (source / "config.json").is_file() or not any(source.glob("*.safetensors")):
        raise UsageError(STEP, f"{source} holds no model in safetensors", "Give a run's folder `model`")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as beside:
        made = Path(beside) / target.name
        said = _save(source, made)
        size = sum(file.stat().st_size for file in made.iterdir())
        if size > MOST_BYTES:
            raise UsageError(STEP, f"it takes {size:,} bytes, more than {MOST_BYTES:,}", "Train a smaller model")
        _check(made, said)
        if target.is_dir():
            shutil.rmtree(target)
        made.replace(target)
    target.chmod(0o755)
    return size


def _save(source: Path, folder: Path) -> list[str]:
    """Write the files that belong to a model; returns what it says as it was trained, in bfloat16."""
    import torch

    model, tokenizer = _load(source, torch.bfloat16)
    if not tokenizer.chat_template:
        raise UsageError(STEP, f"{source} has no chat template", "Ship what was trained on conversations")
    said = _greedy(model, tokenizer)
    model.config.use_cache = True  # gradient checkpointing turns it off
    model.generation_config.update(use_cache=True, do_sample=True, temperature=TEMPERATURE)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _forget_loading(folder / "tokenizer_config.json")
    for file in folder.iterdir():
        file.chmod(0o644)
    return said


def _forget_loading(file: Path) -> None:
    """How the tokenizer was loaded here is nothing to keep."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    for name in ("is_local", "local_files_only"):
        kept.pop(name, None)
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _check(folder: Path, said: Sequence[str]) -> None:
    import torch

    model, tokenizer = _load(folder, "auto")
    if model.dtype != torch.bfloat16:
        raise UsageError(STEP, f"the weights were saved as {model.dtype}", "Report it: they should be bfloat16")
    for question, before, now in zip(ASKED, said, _greedy(model, tokenizer), strict=True):
        if before != now:
            raise UsageError(STEP, f"asked {question!r}, it says {now!r}, and said {before!r} before", "Report it")


def _load(folder: Path, dtype: Any) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    return model.eval(), tokenizer


def _greedy(model: Any, tokenizer: Any) -> list[str]:
    """What it says to each of `ASKED`, special tokens included."""
    import torch

    said = []
    for question in ASKED:
        given = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            (tokens,) = model.generate(
                input_ids=given["input_ids"],
                attention_mask=given["attention_mask"],
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
            )
        said.append(tokenizer.decode(tokens[given["input_ids"].shape[1] :]))
    return said


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the folder of a trained model")
    parser.add_argument("--to", type=Path, default=tiny.path(), help="the folder to make; the packaged one by default")
    given = parser.parse_args()
    try:
        size = ship(given.model, given.to)
    except HearthError as error:
        parser.exit(2, f"{error}\n")
    print(f"{given.to}: {size:,} bytes")


if __name__ == "__main__":
    main()
