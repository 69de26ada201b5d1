"""How much memory a stage would take, by formula: weights, gradients, optimizer states, activations.

weights      parameters x bytes; a base in NF4 takes 4 bits and 0.127 bits of constants a weight (Dettmers et al. 2023,
             section 3), its embeddings and output layer 16
gradients    trainable parameters x bytes
optimizer    two moments for each trainable parameter in AdamW (Loshchilov & Hutter 2019), of its own precision; a byte
             each in 8-bit AdamW (Dettmers et al. 2022)
activations  for each token and layer, what the backward pass needs: inputs and outputs of two norms, queries, keys,
             values, the attention's output, the MLP's products (after Korthikanti et al. 2022, section 4.1; without
             dropout, and without attention scores, which fused attention does not keep); with checkpointing each
             layer's input and one whole layer
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alignment.model_shape import ModelShape
    from alignment.sections import Recipe

NF4_BYTES = (4 + 0.127) / 8
FORMULA = (
    "weights, gradients and optimizer states by count; activations after Korthikanti et al. 2022, section 4.1, "
    "with fused attention; 4-bit bases after Dettmers et al. 2023. Not counted: the allocator's spare, CUDA's own "
    "0.5 to 1 GB, evaluation and generation"
)
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device.

    Attributes:
        parameters, trainable: numbers, not bytes.
        weights, gradients, optimizer, activations: of the model that is trained.
        reference: of a frozen copy of it.
        batch, length: sequences of a micro-batch, and tokens of each, that the activations are of.
        notes: what else the stage keeps in memory, and is not counted.
        formula: where the figures come from.
    """

    parameters: int
    trainable: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    reference: int
    batch: int
    length: int
    notes: tuple[str, ...] = ()
    formula: str = FORMULA

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.reference


def estimate_memory(recipe: Recipe, args: Any, shape: ModelShape, batch: int, length: int) -> Memory:
    """The stage's memory on one device.

    Args:
        args: the stage's training arguments.
        batch: sequences that are in the forward pass together.
        length: tokens of the longest.
    """
    dtype = base_bytes(recipe)
    adapter = shape.trainable < shape.parameters
    small = recipe.model.quantization == "4bit"
    kept = shape.linear * NF4_BYTES + (shape.parameters - shape.linear) * 2 if small else shape.parameters * dtype
    # peft keeps an adapter in float32 on a half-precision base; TRL makes it bfloat16 on a quantized one.
    of_trainable = (2 if small else 4) if adapter else dtype
    weights = kept + shape.trainable * of_trainable * adapter
    return Memory(
        parameters=shape.parameters,
        trainable=shape.trainable,
        weights=round(weights),
        gradients=shape.trainable * of_trainable,
        optimizer=shape.trainable * _optimizer_bytes(str(args.optim), of_trainable),
        activations=batch * length * _token_bytes(recipe, args, shape, dtype),
        reference=0 if adapter or not _has_reference(recipe, args) else round(kept),
        batch=batch,
        length=length,
        notes=_uncounted(recipe, args),
    )


def base_bytes(recipe: Recipe) -> int:
    """Bytes of a weight of the base as it is loaded; a quantized one is computed in bfloat16."""
    import torch

    if recipe.model.quantization == "4bit":
        return 2
    if recipe.model.dtype == "auto":
        return 2 if torch.cuda.is_available() else 4
    return _BYTES[recipe.model.dtype]


def _token_bytes(recipe: Recipe, args: Any, shape: ModelShape, dtype: int) -> int:
    products = (4 if shape.gated else 2) * shape.intermediate
    layer = 4 * shape.hidden + 2 * shape.query + 2 * shape.key_value + products
    kept = layer * shape.layers
    if getattr(args, "activation_checkpointing", False):
        kept = shape.hidden * shape.layers + layer
    # TRL's trainers score the output layer in tiles and keep no logits; PPO keeps them and a float32 copy.
    logits = shape.vocabulary * (dtype + 4) if recipe.stage == "ppo" else 0
    return kept * dtype + logits


def _optimizer_bytes(name: str, of_parameter: int) -> int:
    name = name.rsplit(".", 1)[-1].lower()
    if "adafactor" in name or "sgd" in name:
        return 0
    one_moment = "lion" in name or "rmsprop" in name
    each = 1 if "8bit" in name else of_parameter
    return each * (1 if one_moment else 2)


def _has_reference(recipe: Recipe, args: Any) -> bool:
    if recipe.stage in ("dpo", "kto"):
        return not getattr(args, "precompute_ref_log_probs", False)
    return recipe.stage == "ppo" or (recipe.stage in ("grpo", "rloo") and bool(getattr(args, "beta", 0)))


def _uncounted(recipe: Recipe, args: Any) -> tuple[str, ...]:
    notes = []
    if recipe.stage in ("ppo", "grpo", "rloo"):
        if recipe.reward.model:
            notes.append("the reward model's own weights")
        notes.append("the cache while completions are written")
    if recipe.stage == "ppo" and getattr(args, "critic", "") == "separate":
        notes.append("the critic's weights, gradients and states")
    return tuple(notes)
