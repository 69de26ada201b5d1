"""The network of a reward model: a decoder whose last token's state becomes one number, whole or under an adapter.

Knows how it is made and loaded; `reward_trainer.py` trains it, `scoring.py` uses it.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from alignment.errors import ModelError
from alignment.models import STEP, check_base, loading_arguments, lora_config, resolve
from alignment.sections import LoraSection, ModelSection

HEAD = "score"
"""transformers' name of the layer that makes the number; in peft's `modules_to_save`."""


def new_reward_model(section: ModelSection, lora: LoraSection | None, seed: int) -> Any:
    """A decoder with a new head of one label, to be trained: all weights, a new adapter, or the section's adapter.

    An adapter of the section, as supervised fine-tuning leaves it, goes on being trained with the head beside it
    (Ouyang et al. 2022 begin reward models from supervised ones); `lora` then says nothing.

    Raises:
        ModelError: it cannot be loaded, or QLoRA was asked for where there is no GPU.
        WrongBase: the adapter belongs to another base model.
    """
    from transformers import set_seed

    set_seed(seed)  # the head is drawn at random
    source = resolve(section.path)
    model = load_network(source, section)
    if section.adapter:
        return _continued(model, Path(resolve(section.adapter)), source)
    return _under(model, lora_config(lora, "SEQ_CLS")) if lora is not None else model


def load_network(source: str, section: ModelSection, trained: bool = False) -> Any:
    """A sequence classifier of one label from a decoder's weights, whose head is new, or from a reward model's.

    Raises ModelError: it cannot be loaded, or it is to be `trained` and has no head.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification
    from trl.trainer.reward_trainer import suppress_seqcls_warning

    arguments = {**loading_arguments(section, source), "num_labels": 1, "output_loading_info": True}
    try:
        with nullcontext() if trained else suppress_seqcls_warning():
            model, found = AutoModelForSequenceClassification.from_pretrained(source, **arguments)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(STEP, cause, "Give a folder with safetensors weights of a decoder") from error
    if trained and found["missing_keys"]:
        raise _headless(source)
    return model


def trained_network(folder: Path, base: str = "") -> Any:
    """The reward model in a folder, for scoring: whole weights, or an adapter on its base.

    Args:
        base: the adapter's base, where it has moved.

    Raises:
        ModelError: there is none.
        WrongBase: `base` is not the adapter's.
    """
    if not (folder / "adapter_config.json").is_file():
        return load_network(str(folder), ModelSection(path=str(folder)), trained=True)
    source = resolve(base or _base_of(folder))
    check_base(folder, source)
    import peft

    if not any(f".{HEAD}." in name for name in _weights(folder)):
        raise _headless(str(folder))
    network = load_network(source, ModelSection(path=source))
    return peft.PeftModel.from_pretrained(network, str(folder), is_trainable=False)


def _headless(source: str) -> ModelError:
    cause = f"{source} is no reward model: it has no layer {HEAD!r} that makes a score"
    return ModelError(STEP, cause, "Train one with `hearth align reward`")


def _base_of(adapter: Path) -> str:
    try:
        return str(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(STEP, f"{adapter} names no base model", "Give a folder that peft saved") from error


def _under(model: Any, config: Any) -> Any:
    import peft

    return peft.get_peft_model(model, config)


def _weights(adapter: Path) -> dict[str, Any]:
    """An adapter's tensors by name. Raises ModelError."""
    import peft
    from safetensors import SafetensorError

    try:
        return dict(peft.load_peft_weights(str(adapter), device="cpu"))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(STEP, f"{adapter} cannot be read: {error}", "Give a folder that peft saved") from error


def _continued(model: Any, adapter: Path, source: str) -> Any:
    """`model` under the adapter's own weights, trainable, with the head; the adapter may have a head or none."""
    import peft

    check_base(adapter, source)
    config = peft.PeftConfig.from_pretrained(str(adapter))
    config.task_type, config.inference_mode = "SEQ_CLS", False
    wrapped = _under(model, config)
    fresh = peft.get_peft_model_state_dict(wrapped)
    head = {name: weight for name, weight in fresh.items() if f".{HEAD}." in name}
    weights = head | _weights(adapter)
    found: Any = peft.set_peft_model_state_dict(wrapped, weights)
    if found.unexpected_keys:
        cause = f"the adapter {adapter} has weights that the reward model lacks: {found.unexpected_keys[0]}"
        raise ModelError(STEP, cause, "Give an adapter of the decoder's layers, without lm_head")
    return wrapped
