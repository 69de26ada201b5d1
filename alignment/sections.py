"""The sections of a recipe, as data. `recipe.py` reads them; what they mean is done by the stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Stage: TypeAlias = Literal["pretrain", "sft", "reward", "ppo", "dpo", "kto", "grpo", "rloo", "constitution"]
RowFormat: TypeAlias = Literal[
    "auto", "messages", "prompt_completion", "preference", "ranking", "kto", "prompt", "text"
]


@dataclass(frozen=True, slots=True)
class ModelSection:
    """Which model is taught.

    Attributes:
        path: a folder, a hub name, or the id of a registered artefact; empty only in `pretrain`.
        revision: of the hub's repository; pin it.
        adapter: a LoRA adapter's folder (or artefact) to go on from, or to start preference training from; the section
            `lora` then says nothing.
        dtype: of the weights in training; float32 on a CPU.
        attn_implementation: how transformers computes attention; "auto" leaves it to transformers. On a CPU "eager" is
            worth a try for short rows, with `training.torch_compile`.
        quantization: "4bit" loads the frozen base in NF4 (QLoRA, Dettmers et al. 2023); needs a GPU and bitsandbytes.
        chat_template: a Jinja file in place of the tokenizer's own template.
    """

    path: str = ""
    revision: str = ""
    adapter: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    quantization: Literal["none", "4bit"] = "none"
    chat_template: str = ""


@dataclass(frozen=True, slots=True)
class ArchitectureSection:
    """A Llama-architecture decoder made from nothing (`pretrain` without `model.path`), and its tokenizer.

    `individual_digits`: each digit is a token of its own, from which small models learn to calculate.
    `isolated_capitals`: a name has the same tokens wherever it stands, from which small models learn to copy it.
    """

    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 4
    num_attention_heads: int = 2
    num_key_value_heads: int = 2
    max_position_embeddings: int = 1024
    tie_word_embeddings: bool = True
    vocab_size: int = 2048
    individual_digits: bool = False
    isolated_capitals: bool = False


@dataclass(frozen=True, slots=True)
class DataSection:
    """What it is taught on.

    Attributes:
        train: a .jsonl, .json, .csv or .parquet file (.gz and .xz are unpacked), `example:NAME`, or
            `hub:name[@revision][:config][:split]`; see `data_sources`.
        eval: another such source; otherwise `eval_fraction` of the rows is held out, by a seeded split.
        format: of the rows; "auto" tells it from their fields.
        columns: our field name -> the file's column, as in {prompt: question, completion: answer}.
        system: a system message put before conversations that have none.
        max_rows: use the first so many rows; 0 means all.
        deduplicate: leave out rows that are the same after case and white space are folded.
        contamination: an evaluation file that no training row may contain.
        skip_bad: list rows that cannot be used and go on, in place of stopping at the first.
        seed: of the split.
    """

    train: str = ""
    eval: str = ""
    format: RowFormat = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    system: str = ""
    eval_fraction: float = 0.0
    max_rows: int = 0
    deduplicate: bool = True
    contamination: str = ""
    skip_bad: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoraSection:
    """Low-rank adapters (Hu et al. 2021) in place of all weights. Left out of the recipe: all weights are trained."""

    r: int = 8
    alpha: int = 16
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class RewardSection:
    """What PPO, GRPO and RLOO are rewarded by; the sum, where both are given.

    Attributes:
        model: a reward model's folder, or the id of a registered one, with the policy's tokenizer.
        function: "module:name" or "file.py:name" of a function (prompts, completions, **columns) -> list of floats.
        model_weight, function_weight: factors.
        gold: a held-out reward model, or a function as above, that is watched and never trained on.
    """

    model: str = ""
    function: str = ""
    model_weight: float = 1.0
    function_weight: float = 1.0
    gold: str = ""


@dataclass(frozen=True, slots=True)
class ConstitutionSection:
    """Critique and revision by principles (Bai et al. 2022), and the decoder as a judge.

    Attributes:
        principles: a YAML file; empty means the default constitution.
        rounds: of critique and revision for each prompt.
        pairs: also make an AI-preference set.
        pair_with: what the first answer is judged against: the last "revision", a second of "samples", or "both".
        reasons: let the judge reason before its verdict.
        base_url, model: the server that writes; `embedded`: a folder, or hearth-tiny, to run in process instead.
        max_tokens, temperature: of each text.
        concurrency: prompts under way at once.
    """

    principles: str = ""
    rounds: int = 1
    pairs: bool = True
    pair_with: Literal["revision", "samples", "both"] = "revision"
    reasons: bool = False
    base_url: str = ""
    model: str = ""
    embedded: str = ""
    max_tokens: int = 256
    temperature: float = 0.7
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class Recipe:
    """One stage, wholly described.

    Attributes:
        stage: which.
        name: of the artefact; letters, digits, `-`, `_` and `.`.
        output: the run's folder; empty means `runs/<name>`, or where the settings' `runs` says.
        seed: of initialisation, order and sampling.
        training: keys of the stage's own configuration (TRL's SFTConfig, DPOConfig, …; our PPOConfig), checked by name.
        tracking: of "tensorboard", "wandb", "mlflow".
        register: put the result into the registry.
    """

    stage: Stage
    name: str
    output: str = ""
    seed: int = 0
    model: ModelSection = field(default_factory=ModelSection)
    architecture: ArchitectureSection = field(default_factory=ArchitectureSection)
    data: DataSection = field(default_factory=DataSection)
    lora: LoraSection | None = None
    reward: RewardSection = field(default_factory=RewardSection)
    constitution: ConstitutionSection = field(default_factory=ConstitutionSection)
    training: Mapping[str, Any] = field(default_factory=dict)
    tracking: tuple[str, ...] = ()
    register: bool = True
