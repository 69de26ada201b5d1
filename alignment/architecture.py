"""A Llama-architecture decoder made from nothing, of a shape that vLLM serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from decoder.errors import RecipeError

if TYPE_CHECKING:
    from alignment.sections import ArchitectureSection

STEP = "making the model"
HEAD_SIZES = (32, 64, 80, 96, 112, 128)
"""The head sizes that vLLM's attention kernels are built for on a CPU."""


def check_architecture(section: ArchitectureSection) -> None:
    """Refuse a shape that cannot be made or served. Raises RecipeError."""
    width, heads, key_value = section.hidden_size, section.num_attention_heads, section.num_key_value_heads
    sizes = (width, heads, key_value, section.intermediate_size, section.num_hidden_layers)
    if min(*sizes, section.max_position_embeddings) < 1:
        raise RecipeError(STEP, "architecture: a size is below 1", "Give positive sizes")
    if width % heads or width // heads not in HEAD_SIZES:
        cause = f"architecture: the head size {width}/{heads} = {width / heads:g} is not one that vLLM serves"
        raise RecipeError(STEP, cause, f"Choose hidden_size/num_attention_heads of {', '.join(map(str, HEAD_SIZES))}")
    if heads % key_value:
        cause = f"architecture: {heads} attention heads cannot share {key_value} key-value heads"
        raise RecipeError(STEP, cause, "Let num_attention_heads be a multiple of num_key_value_heads")


def make_decoder(section: ArchitectureSection, tokenizer: Any, seed: int) -> Any:
    """A LlamaForCausalLM with random weights, the same for the same seed; float32.

    Its vocabulary is the tokenizer's. Raises RecipeError.
    """
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    check_architecture(section)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=section.hidden_size,
        intermediate_size=section.intermediate_size,
        num_hidden_layers=section.num_hidden_layers,
        num_attention_heads=section.num_attention_heads,
        num_key_value_heads=section.num_key_value_heads,
        head_dim=section.hidden_size // section.num_attention_heads,
        max_position_embeddings=section.max_position_embeddings,
        tie_word_embeddings=section.tie_word_embeddings,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    set_seed(seed)
    return LlamaForCausalLM(config)
