"""How large a model is, from its configuration alone: made without storage (torch's meta device), and counted."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.errors import ModelError
from alignment.models import lora_config, resolve

if TYPE_CHECKING:
    from alignment.sections import ArchitectureSection, Recipe

STEP = "reading the model's configuration"


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Counts of a decoder.

    Attributes:
        parameters: of the base model.
        trainable: of the adapter, where one is trained; else all.
        linear: of the base's linear layers without the output layer: what 4-bit quantization makes small.
        layers, hidden, intermediate, vocabulary: of the configuration.
        query, key_value: width of all heads of a layer together.
        gated: whether the MLP has a gate (SwiGLU and its kin), so that it keeps four products in place of two.
    """

    parameters: int
    trainable: int
    linear: int
    layers: int
    hidden: int
    intermediate: int
    query: int
    key_value: int
    vocabulary: int
    gated: bool


def model_shape(recipe: Recipe) -> ModelShape:
    """The shape of the recipe's model, with its adapter. Raises ModelError."""
    from accelerate import init_empty_weights  # type: ignore[import-untyped]
    from transformers import AutoModelForCausalLM

    config = configuration(recipe)
    try:
        with init_empty_weights(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that it has given up
            make: Any = AutoModelForCausalLM.from_config
            model = make(config, trust_remote_code=False)
            counts = _counts(model)
            adapter = _adapter(recipe)
            trainable = _trainable(model, adapter) if adapter is not None else counts["parameters"]
            widths = _widths(config.get_text_config())
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(STEP, str(error).splitlines()[0], "Give a decoder that transformers knows") from error
    return ModelShape(parameters=counts["parameters"], linear=counts["linear"], trainable=trainable, **widths)


def configuration(recipe: Recipe) -> Any:
    """transformers' configuration of the recipe's model, or of the one that `pretrain` makes. Raises ModelError."""
    from transformers import AutoConfig

    if not recipe.model.path:
        return _new(recipe.architecture)
    source = resolve(recipe.model.path)
    try:
        return AutoConfig.from_pretrained(
            source,
            revision=recipe.model.revision or None,
            trust_remote_code=False,
            local_files_only=Path(source).is_dir(),
        )
    except (OSError, ValueError) as error:
        raise ModelError(STEP, str(error).strip().splitlines()[0][:300], "Give a folder with config.json") from error


def _new(architecture: ArchitectureSection) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**dataclasses.asdict(architecture))


def _counts(model: Any) -> dict[str, int]:
    from torch.nn import Linear

    output = model.get_output_embeddings()
    linear = [module for module in model.modules() if isinstance(module, Linear) and module is not output]
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "linear": sum(module.weight.numel() for module in linear),
    }


def _adapter(recipe: Recipe) -> Any:
    """peft's configuration of what is trained; None when all weights are."""
    if recipe.model.adapter:
        import peft

        return peft.PeftConfig.from_pretrained(resolve(recipe.model.adapter))
    return lora_config(recipe.lora) if recipe.lora is not None else None


def _trainable(model: Any, adapter: Any) -> int:
    import peft

    adapter.inference_mode = False
    wrapped = peft.get_peft_model(model, adapter)
    return sum(parameter.numel() for parameter in wrapped.parameters() if parameter.requires_grad)


def _widths(config: Any) -> dict[str, Any]:
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    return {
        "layers": config.num_hidden_layers,
        "hidden": config.hidden_size,
        "intermediate": _intermediate(config),
        "query": heads * size,
        "key_value": (getattr(config, "num_key_value_heads", None) or heads) * size,
        "vocabulary": config.vocab_size,
        "gated": "gelu" not in str(getattr(config, "hidden_act", "gelu")) or "gemma" in config.model_type,
    }


def _intermediate(config: Any) -> int:
    """Width of the MLP that a token passes: of a mixture, of the experts that it is sent to."""
    experts, width = getattr(config, "num_experts_per_tok", None), getattr(config, "moe_intermediate_size", None)
    if experts and width:
        return int(experts * width)
    return int(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
