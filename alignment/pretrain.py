"""Stage `pretrain`: next-token training on plain text, of a new decoder or of one that goes on.

Without `model.path` a tokenizer is trained on the training text and a Llama-architecture decoder is made from
`architecture`. With it, that model goes on with its own tokenizer; with `lora` as an adapter. Texts are packed: they
follow each other, each ended by the end-of-sequence token, and are cut into rows of `training.max_length` tokens, so
that every token is trained on ("wrapped" packing; Brown et al. 2020, section 2.3). What is left over at the end, less
than a row, is trained on as a short row.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from alignment.trainer_job import Job, TrainerStage
from alignment.trainer_run import run_trainer
from decoder.errors import RecipeError

if TYPE_CHECKING:
    from alignment.sections import Recipe
    from decoder.runs.folder import RunFolder

Rows = list[dict[str, Any]]
MAX_LENGTH = 512
PACKED = {"packing": True, "packing_strategy": "wrapped", "max_length": MAX_LENGTH, "shuffle_dataset": True}
NEW = {
    "learning_rate": 2e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
    "adam_beta2": 0.95,
    "weight_decay": 0.1,
}
"""Of a model made from nothing: AdamW as in Llama (Touvron et al. 2023, section 2.3), at a small model's rate."""


def run(recipe: Recipe, resume: bool = False) -> RunFolder:
    """Train, and leave the model (or the adapter) with its tokenizer in the run's folder.

    The same recipe on the same machine gives the same weights, bit for bit.

    Raises:
        RecipeError: the architecture cannot be served, or rows are longer than its positions.
        DataError: there is no text to train on.
        ModelError: `model.path` cannot be loaded.
        TrainingError: the run did not end as it should; its last checkpoint is whole.
    """
    return run_trainer(recipe, resume, stage_of(recipe))


def stage_of(recipe: Recipe) -> TrainerStage:
    """Defaults and tokenizer of a new model, or of one that goes on. Raises RecipeError."""
    check(recipe)
    house = PACKED if recipe.model.path else PACKED | NEW
    make = None if recipe.model.path else new_tokenizer
    return TrainerStage("trl:SFTConfig", build, lambda _: house, limit, taught=False, tokenizer=make)


def check(recipe: Recipe) -> None:
    """Refuse what cannot be trained before anything is read. Raises RecipeError."""
    from alignment.architecture import check_architecture

    length = recipe.training.get("max_length", MAX_LENGTH)
    if not isinstance(length, int) or length < 2:
        raise RecipeError("checking the recipe", f"training.max_length is {length!r}", "Give at least 2")
    if recipe.model.path:
        return
    if recipe.lora is not None:
        remedy = "Leave out lora, or name the model to go on from in model.path"
        raise RecipeError("checking the recipe", "an adapter of a model that is made from nothing", remedy)
    check_architecture(recipe.architecture)
    positions = recipe.architecture.max_position_embeddings
    if length > positions:
        cause = f"training.max_length is {length}, more than the {positions} positions of the architecture"
        raise RecipeError("checking the recipe", cause, "Raise architecture.max_position_embeddings, or shorten rows")


def new_tokenizer(recipe: Recipe, rows: Rows) -> Any:
    """A tokenizer trained on the rows' text. Raises RecipeError."""
    from alignment.tokenizer_training import train_tokenizer

    section = recipe.architecture
    texts = (row["text"] for row in rows)
    return train_tokenizer(
        texts,
        section.vocab_size,
        section.max_position_embeddings,
        section.individual_digits,
        section.isolated_capitals,
    )


def build(job: Job) -> Any:
    """The trainer: TRL's SFTTrainer on packed text."""
    from alignment.callbacks import NoteAtStart
    from alignment.watched_trainer import watched

    trainer = watched("trl:SFTTrainer", job.train)(
        args=job.args, processing_class=job.tokenizer, **_model(job), **_datasets(job)
    )
    trainer.add_callback(NoteAtStart(job.folder, **sizes(trainer.model), rows_packed=len(trainer.train_dataset)))
    return trainer


def sizes(model: Any) -> dict[str, int]:
    """Parameters of a model: all of them, those trained, and all but those of the embeddings."""
    shapes = list(model.named_parameters())
    inner = [each for name, each in shapes if "embed_tokens" not in name and "lm_head" not in name]
    return {
        "parameters": sum(each.numel() for _, each in shapes),
        "parameters_trained": sum(each.numel() for _, each in shapes if each.requires_grad),
        "parameters_non_embedding": sum(each.numel() for each in inner),
    }


def _model(job: Job) -> dict[str, Any]:
    from alignment.architecture import make_decoder

    if job.recipe.model.path:
        return job.trained_model()
    model = make_decoder(job.recipe.architecture, job.tokenizer, job.recipe.seed)
    if job.recipe.model.attn_implementation != "auto":
        model.set_attn_implementation(job.recipe.model.attn_implementation)
    return {"model": model}


def _datasets(job: Job) -> dict[str, Any]:
    """Texts for the trainer; a new model reads each after the begin token, one that goes on has its own ways."""
    if job.recipe.model.path:
        return job.datasets()
    begin = job.tokenizer.bos_token
    return dataclasses.replace(job, train=_begun(job.train, begin), eval=_begun(job.eval, begin)).datasets()


def _begun(rows: Rows, begin: str) -> Rows:
    return [{"text": begin + row["text"]} for row in rows]


def limit(recipe: Recipe, args: Any) -> int | None:
    """None where long texts are cut into rows, of which nothing is lost; else a row's tokens, the begin token apart."""
    if args.max_length is None or (args.packing and args.packing_strategy != "bfd"):
        return None
    return int(args.max_length) - (0 if recipe.model.path else 1)


if __name__ == "__main__":
    from alignment.script import main

    main("pretrain")
