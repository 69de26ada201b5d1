"""Scores from a trained reward model: texts in, one number each out.

RewardModel.load("runs/reward-small/model").score(["How are you?"], ["Well, thank you."])

A completion is read as in training: after its prompt, with the end-of-sequence token as the last, from which the score
comes. A reward model's folder holds weights, tokenizer, and reward_config.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alignment.errors import ModelError
from alignment.models import load_tokenizer, resolve
from alignment.reward_model import trained_network
from alignment.reward_rows import encode, ended, padded
from alignment.sections import ModelSection
from decoder.errors import UsageError

STEP = "scoring"
CONFIG = "reward_config.json"
BATCH_TOKENS = 8192
"""Tokens of a batch, padding included."""


@dataclass(frozen=True, slots=True)
class RewardConfigFile:
    """reward_config.json: what a reward model must be used with.

    Attributes:
        mean, std: of the scores of `count` responses of the training set. A reward model's scores are free up to a
            constant; InstructGPT shifts them so that demonstrations score 0 on average before PPO (Ouyang et al. 2022,
            section 3.5), so that a value head begins near its target and a length penalty has a meaning.
        max_length: the longest sequence of training, in tokens.
        vocabulary_sha256: see `vocabulary_hash`.
        conversational: whether training rows were messages, written by the chat template.
    """

    mean: float = 0.0
    std: float = 1.0
    count: int = 0
    max_length: int | None = None
    vocabulary_sha256: str = ""
    conversational: bool = False

    def write(self, folder: Path) -> None:
        """Into a reward model's folder."""
        (folder / CONFIG).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read_config(folder: Path) -> RewardConfigFile:
    """A folder's reward_config.json; where there is none (a reward model of others), nothing is shifted or scaled.

    Raises ModelError.
    """
    file = folder / CONFIG
    if not file.exists():
        return RewardConfigFile()
    try:
        return RewardConfigFile(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(STEP, f"{file} cannot be read: {error}", "Train the reward model anew") from error


def vocabulary_hash(tokenizer: Any) -> str:
    """SHA-256 of all tokens with their ids and of the end-of-sequence token, in hexadecimal."""
    said = [sorted(tokenizer.get_vocab().items()), tokenizer.eos_token_id]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A network that scores, with its tokenizer. Make one with `load`."""

    network: Any
    tokenizer: Any
    config: RewardConfigFile
    name: str

    @classmethod
    def load(cls, folder: str | Path, device: str | None = None, tokenizer: Any = None, base: str = "") -> RewardModel:
        """A reward model's folder (adapter or whole), or the id of a registered one.

        Args:
            device: as torch names it; None means the first GPU, else the CPU.
            tokenizer: the policy's, which must be the same.
            base: the adapter's base model, where it has moved.

        Raises:
            ModelError: there is none in the folder, or it is of another tokenizer.
            WrongBase: `base` is not the adapter's.
        """
        import torch

        place = Path(resolve(str(folder)))
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        own, config = load_tokenizer(ModelSection(path=str(place))), read_config(place)
        if tokenizer is not None:
            check_tokenizer(tokenizer, own, config, place)
        network = trained_network(place, base)
        network.config.get_text_config().pad_token_id = own.pad_token_id
        return cls(network.to(device).eval(), own, config, str(place))

    def check_tokenizer(self, tokenizer: Any) -> None:
        """Refuse to score for a model that writes other tokens. Raises ModelError, naming both."""
        check_tokenizer(tokenizer, self.tokenizer, self.config, self.name)

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], normalised: bool = False) -> list[float]:
        """One score a completion, in their order; texts, or lists of messages, as in `reward_rows.encode`.

        Args:
            normalised: less the training set's mean and over its standard deviation.

        Raises:
            ModelError: a completion with its prompt is longer than the model can read.
            UsageError: there are not as many prompts as completions.
        """
        if len(prompts) != len(completions):
            raise UsageError(STEP, f"{len(prompts)} prompts for {len(completions)} completions", "Give one for each")
        ids = [encode(self.tokenizer, p, c) for p, c in zip(prompts, completions, strict=True)]
        return self.score_ids(ids, normalised)

    def score_ids(self, sequences: Sequence[Sequence[int]], normalised: bool = False) -> list[float]:
        """The same of token ids of prompt and completion together; the end-of-sequence token is added where missing."""
        whole = [ended(self.tokenizer, ids) for ids in sequences]
        self._check_lengths(whole)
        scores = scores_of(self.network, whole, self.tokenizer.pad_token_id)
        scale = self.config.std or 1.0
        return [(score - self.config.mean) / scale for score in scores] if normalised else scores

    def _check_lengths(self, sequences: Sequence[Sequence[int]]) -> None:
        limit = getattr(self.network.config.get_text_config(), "max_position_embeddings", None)
        for index, ids in enumerate(sequences):
            if limit and len(ids) > limit:
                cause = f"completion {index} with its prompt has {len(ids)} tokens, and the reward model reads {limit}"
                raise ModelError(STEP, cause, "Shorten the completions")


def check_tokenizer(given: Any, own: Any, config: RewardConfigFile, name: str | Path) -> None:
    """Refuse another tokenizer than that of the reward model called `name`. Raises ModelError, naming both."""
    if vocabulary_hash(given) != (config.vocabulary_sha256 or vocabulary_hash(own)):
        other = getattr(given, "name_or_path", "") or "without a name"
        cause = f"the reward model {name} was trained with another tokenizer than that of {other}"
        raise ModelError(STEP, cause, "Train the reward model from the same base model as the policy")


def scores_of(network: Any, sequences: Sequence[Sequence[int]], pad_token_id: int) -> list[float]:
    """The network's scores of token ids, in their order; computed by length, so that little is padded."""
    import torch

    found = [0.0] * len(sequences)
    device = next(network.parameters()).device
    with torch.inference_mode():
        for indices in _by_length(sequences):
            batch = padded([sequences[index] for index in indices], pad_token_id)
            moved = {name: value.to(device) for name, value in batch.items()}
            logits = network(**moved, use_cache=False).logits
            for index, score in zip(indices, logits.squeeze(-1).float().tolist(), strict=True):
                found[index] = score
    return found


def _by_length(sequences: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices in batches of like lengths, the longest first, each of at most BATCH_TOKENS unless one alone is more."""
    batch: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        if batch and (len(batch) + 1) * len(sequences[batch[0]]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
