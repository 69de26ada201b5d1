"""A tokenizer of one's own: byte-level BPE over the training text, with the tokens and the template of a chat.

Nothing is added to a text by the tokenizer itself, so a text that was rendered by the chat template is never begun
twice; whoever trains on plain text writes BEGIN before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from decoder.errors import RecipeError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
SPECIAL = (PAD, BEGIN, END, *ROLES)
SMALLEST = 256 + len(SPECIAL)
"""Every byte is a token, so that no text is unknown."""

CHAT_TEMPLATE = """\
{{- bos_token }}
{%- if tools %}{{ '<|system|>\\nTools: ' + (tools | tojson) + '<|end|>\\n' }}{% endif %}
{%- for message in messages %}
{%- if message['role'] == 'assistant' %}
{{- '<|assistant|>\\n' }}
{%- generation %}
{{- message['content'] or '' }}
{%- for call in message['tool_calls'] or [] %}{{ '<tool_call>' + (call['function'] | tojson) + '</tool_call>' }}
{%- endfor %}
{{- '<|end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- else %}
{{- '<|' + message['role'] + '|>\\n' + (message['content'] or '') + '<|end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""
"""What lies between the generation markers is trained: the answer and the token that ends it."""


def train_tokenizer(
    texts: Iterable[str],
    vocab_size: int,
    max_length: int,
    individual_digits: bool = False,
    isolated_capitals: bool = False,
) -> PreTrainedTokenizerFast:
    """Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) of at most `vocab_size` tokens.

    The same texts in the same order give the same tokenizer. Where the texts hold too few pairs, it is smaller.

    Args:
        max_length: the longest text, in tokens, that the model will take.
        individual_digits: no token holds more than one digit.
        isolated_capitals: a space before a capital letter is a token of its own, so a name has the same tokens
            after a space, at the beginning and in quotation marks.

    Raises:
        RecipeError: `vocab_size` is below SMALLEST.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if vocab_size < SMALLEST:
        cause = f"architecture.vocab_size is {vocab_size}, less than the bytes and special tokens"
        raise RecipeError("training the tokenizer", cause, f"Give at least {SMALLEST}")
    tokenizer = Tokenizer(models.BPE())
    digits = [pre_tokenizers.Digits(individual_digits=True)] if individual_digits else []
    capitals = [pre_tokenizers.Split(Regex(r" (?=\p{Lu})"), "isolated")] if isolated_capitals else []
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, *capitals, whole])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
