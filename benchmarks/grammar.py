"""How long it takes to compile the language of actions: `python -m benchmarks.grammar`. Exit code 1 over a bar.

Tools of the Berkeley function-calling leaderboard (BFCL), 32 in one action grammar with `final_answer`, compiled by
xgrammar for a tokenizer of 32,000 tokens that is trained on books on the spot; the second time the compiler has it in
its cache.
"""

from __future__ import annotations

import json
import lzma
import os
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.grammar import action_constraint, final_answer
from agents.tool import Tool

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "bfcl"
FILES = ("BFCL_v4_simple_python.json", "BFCL_v4_multiple.json", "BFCL_v4_parallel.json")
TYPES = {"dict": "object", "float": "number", "tuple": "array"}
COMPILED_LIMIT = 0.5
"""Seconds, of the slowest of the sets."""
CACHED_LIMIT = 0.05
TOOLS, SETS, VOCABULARY, BOOKS = 32, 8, 32_000, 6_000_000


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A BFCL schema as JSON schema.

    `dict` is an object, `float` a number, `tuple` an array; `any` has no type, so any JSON value will do. `optional`,
    which is no keyword, is left out: `required` says it. A bound that is written as text becomes a number. An `enum`
    of scalars beside an array is one of its items. Keywords stay as they are otherwise, `default` and `required` of
    properties that are not described among them.
    """
    mapped: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and value != "any":
            mapped["type"] = TYPES.get(value, value)
        elif key == "properties":
            mapped["properties"] = {name: json_schema(each) for name, each in value.items()}
        elif key == "items":
            mapped["items"] = json_schema(value)
        elif key in ("minimum", "maximum"):
            mapped[key] = float(value)
        elif key not in ("type", "optional"):
            mapped[key] = value
    if mapped.get("type") == "array" and not any(isinstance(each, list) for each in mapped.get("enum", [[]])):
        mapped["items"] = {**mapped.get("items", {}), "enum": mapped.pop("enum")}
    return mapped


def bfcl_tools(folder: Path = DATA) -> list[Tool]:
    """All tools of the three files, the first of each name; dots in names are allowed and stay."""
    found: dict[str, Tool] = {}
    for file in FILES:
        for line in (folder / file).read_text().splitlines():
            for each in json.loads(line)["function"]:
                tool = Tool(each["name"], each["description"], json_schema(each["parameters"]), dict, effect="read")
                found.setdefault(tool.name, tool)
    return list(found.values())


def build_tokenizer() -> Any:
    """A byte-level tokenizer of `VOCABULARY` tokens, from BFCL's questions and some books."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    with lzma.open(next((DATA.parent / "books").glob("*.xz")), "rt") as books:
        texts = [(DATA / FILES[0]).read_text(), books.read(BOOKS)]
    tokenizer.train_from_iterator([line for text in texts for line in text.splitlines()], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


def main() -> int:
    """Print the seconds; 1 when a bar is broken."""
    from decoder.masking import MaskCompiler

    tools, tokenizer = bfcl_tools(), build_tokenizer()
    compiler = MaskCompiler(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    first: list[float] = []
    again: list[float] = []
    for number in range(SETS):
        constraint = action_constraint(
            tools[number * TOOLS : (number + 1) * TOOLS], final_answer(), several=number % 2 == 1
        )
        for times in (first, again):
            began = time.perf_counter()
            compiler.masks(constraint, 1)
            times.append(time.perf_counter() - began)
    print(f"{SETS} grammars of {TOOLS} BFCL tools and final_answer, half of them of lists; {len(tokenizer):,} tokens")
    print(f"compiled: median {statistics.median(first):.3f} s, slowest {max(first):.3f} s (bar {COMPILED_LIMIT} s)")
    print(f"cached:   median {statistics.median(again):.4f} s, slowest {max(again):.4f} s (bar {CACHED_LIMIT} s)")
    return int(max(first) > COMPILED_LIMIT or max(again) > CACHED_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
