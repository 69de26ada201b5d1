"""Stage `pretrain`: next-token training on plain text, of a new decoder or of one that goes on.

Without `model.path` a tokenizer is trained on the training text and a Llama-architecture decoder is made from
`architecture`. With it, that model goes on with its own tokenizer; with `lora` as an adapter. Texts are packed: they
follow each other, each ended by the end-of-sequence token, and are cut into rows of `training.max_length` tokens, so
that every token is trained on ("wrapped" packing; Brown et al. 2020, section 2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alignment.errors import RecipeError

if TYPE_CHECKING:
    from alignment.run_folder import RunFolder
    from alignment.sections import Recipe

STAGE = "pretrain"
MAX_LENGTH = 512
HOUSE = {
    "packing": True,
    "packing_strategy": "wrapped",
    "max_length": MAX_LENGTH,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "adam_beta2": 0.95,
    "weight_decay": 0.1,
    "logging_steps": 10,
}
"""Of a model made from nothing; AdamW as in Llama (Touvron et al. 2023, section 2.3). A recipe's keys win."""


def run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Train, and leave the model with its tokenizer in the run's folder.

    The same recipe and seed on the same machine give the same weights, bit for bit.

    Raises:
        RecipeError: the architecture cannot be served, or rows are longer than its positions.
        DataError: there is no text to train on.
        ModelError: `model.path` cannot be loaded.
        TrainingError: the run did not end as it should; its last checkpoint is whole.
    """
    check(recipe)
    raise NotImplementedError


def check(recipe: Recipe) -> None:
    """What is wrong with a recipe before anything is read. Raises RecipeError."""
    from alignment.architecture import check_architecture

    if recipe.model.path:
        return
    check_architecture(recipe.architecture)
    length, positions = row_length(recipe), recipe.architecture.max_position_embeddings
    if length > positions:
        cause = f"training.max_length is {length}, more than the {positions} positions of the architecture"
        raise RecipeError("checking the recipe", cause, "Raise architecture.max_position_embeddings, or shorten rows")


def row_length(recipe: Recipe) -> int:
    """Tokens in a packed row."""
    length = recipe.training.get("max_length", MAX_LENGTH)
    if not isinstance(length, int) or length < 2:
        raise RecipeError("checking the recipe", f"training.max_length is {length!r}", "Give at least 2")
    return length


def make(recipe: Recipe, texts: list[str]) -> tuple[Any, Any]:
    """The model and its tokenizer: new ones, or those of `model.path`. Raises RecipeError, ModelError."""
    if recipe.model.path:
        from alignment.models import load_decoder, load_tokenizer

        return load_decoder(recipe.model, recipe.lora), load_tokenizer(recipe.model)
    from alignment.architecture import make_decoder
    from alignment.tokenizer_training import train_tokenizer

    section = recipe.architecture
    tokenizer = train_tokenizer(texts, section.vocab_size, section.max_position_embeddings)
    return make_decoder(section, tokenizer, recipe.seed), tokenizer


def begun(rows: list[dict[str, Any]], recipe: Recipe) -> list[dict[str, Any]]:
    """Rows of text as a new model reads them, each after the begin token; a model that goes on has its own ways."""
    from alignment.tokenizer_training import BEGIN

    before = "" if recipe.model.path else BEGIN
    return [{"text": before + row["text"]} for row in rows]
