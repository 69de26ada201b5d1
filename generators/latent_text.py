"""Words of captions as numbers: a tokenizer of whole words, made from the captions that are trained on.

It is a `PreTrainedTokenizerFast`, so that a saved pipeline needs nothing of ours to read prompts. A word that no
caption had is nothing such a model could know: `check_prompts` says so, where plain `diffusers` silently reads `<unk>`.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from generators.errors import DataError, ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END, UNKNOWN = "<pad>", "<begin>", "<end>", "<unk>"
SPECIAL = (PAD, BEGIN, END, UNKNOWN)
LONGEST = 77
"""Tokens of a caption, the two at its ends included, as CLIP has it."""


def caption_words(caption: str) -> list[str]:
    """The words and the punctuation of a caption, in lower case."""
    return [word for word, _ in _pre_tokenizer().pre_tokenize_str(_normalizer().normalize_str(caption))]


def known_words(captions: Iterable[str], most: int = 0) -> tuple[str, ...]:
    """Every word of the captions, most frequent first, `most` of them unless 0. Raises DataError when there is none."""
    counts = Counter(word for caption in captions for word in caption_words(caption))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    if not ordered:
        remedy = "Set data.captions to `classes`, `paths` or a file of captions"
        raise DataError("reading the captions", "the pictures have no captions with words", remedy)
    return tuple(ordered[:most] if most else ordered)


def caption_length(captions: Iterable[str]) -> int:
    """Tokens of the longest caption, ends included, and at most `LONGEST`."""
    return min(max((len(caption_words(caption)) for caption in captions), default=0) + 2, LONGEST)


def make_tokenizer(words: Sequence[str], length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of these words that pads and cuts to `length` tokens."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=_tokenizer(words),
        model_max_length=length,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
    )


def check_prompts(prompts: Iterable[str], words: Sequence[str], length: int) -> None:
    """Refuse what the model could only misread. Raises ModelError for a word that is unknown, or too many words."""
    known, step = set(words), "reading the prompt"
    for prompt in prompts:
        found = caption_words(prompt)
        unknown = [word for word in dict.fromkeys(found) if word not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], list(words), 3)
            meant = f"Near it: {', '.join(near)}. " if near else ""
            cause = f"{prompt!r} has words that this model does not know: {', '.join(unknown[:10])}"
            raise ModelError(step, cause, f"{meant}Known words: {listed(words)}")
        if len(found) > length - 2:
            raise ModelError(step, f"{prompt!r} has {len(found)} words, {length - 2} fit", "Leave some out")


def known_part(caption: str, words: Collection[str]) -> str:
    """The caption as it stands where all its words are among `words`; else those of its words that are."""
    found = caption_words(caption)
    return caption if all(word in words for word in found) else " ".join(word for word in found if word in words)


def listed(words: Sequence[str], most: int = 40) -> str:
    """The first words, and how many more there are."""
    rest = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + rest


def _tokenizer(words: Sequence[str]) -> Tokenizer:
    from tokenizers import Tokenizer, processors
    from tokenizers.models import WordLevel

    numbers = {word: number for number, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = _normalizer(), _pre_tokenizer()
    ends = [(BEGIN, numbers[BEGIN]), (END, numbers[END])]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A {END}", special_tokens=ends)
    return tokenizer


def _normalizer() -> Normalizer:
    from tokenizers import normalizers

    return normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])


def _pre_tokenizer() -> PreTokenizer:
    from tokenizers.pre_tokenizers import Whitespace

    return Whitespace()
