"""hearth-tiny in process: seconds until it can be asked, until its first token, and tokens a second.

    python -m benchmarks.tiny_speed [--model FOLDER] [--tokens 200] [--runs 5]

The peer is `transformers.generate` with the same weights, prompt and number of tokens, in turns with ours in the same
run; both are greedy and neither may stop early. Held to a constraint stands for an action of an agent. Exit code 1
when a bar is missed: the first token within a second of the load's end, 60 tokens a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from decoder import EmbeddedDecoder, Sampling, TextDelta, tiny
from decoder.constraint import regex
from decoder.types import Constraint

FIRST_TOKEN_BAR = 1.0
"""Seconds."""
RATE_BAR = 60.0
"""Tokens a second."""
PROMPT = "Tell me about the house, its rooms and the people who gather round its hearth in the evening."


def rate(generate: Callable[[], int]) -> float:
    """Tokens a second."""
    began = time.perf_counter()
    tokens = generate()
    return tokens / (time.perf_counter() - began)


def first_token(decoder: EmbeddedDecoder) -> float:
    """Seconds from asking to the first text; a constraint keeps it from ending before there is any."""
    began = time.perf_counter()
    for event in decoder.stream(PROMPT, sampling=greedy(8), constraint=regex("[a-z]{40}")):
        if isinstance(event, TextDelta):
            return time.perf_counter() - began
    raise AssertionError("no text came")


def greedy(tokens: int) -> Sampling:
    """Of so many tokens at most."""
    return Sampling(temperature=0.0, max_tokens=tokens)


def ours(decoder: EmbeddedDecoder, tokens: int, constraint: Constraint | None = None) -> int:
    """Generates; returns how many tokens came."""
    return decoder.complete(PROMPT, sampling=greedy(tokens), constraint=constraint).usage.completion_tokens


def peer(decoder: EmbeddedDecoder, tokens: int) -> int:
    """`transformers.generate` as it is; returns how many tokens came."""
    import torch

    engine = decoder.load()
    tokenizer: Any = engine.tokenizer
    given = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids, mask = given["input_ids"].to(engine.model.device), given["attention_mask"].to(engine.model.device)
    with torch.inference_mode():
        made = engine.model.generate(
            input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens
        )
    return int(made.shape[1] - ids.shape[1])


def main() -> int:
    """Print the figures and the bars; 1 when one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=tiny.NAME)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    import torch
    import transformers  # noqa: F401  # whoever has an embedding model has loaded these already

    began = time.perf_counter()
    with EmbeddedDecoder(given.model, device="cpu") as decoder:
        decoder.load()
        loaded = time.perf_counter() - began
        first = first_token(decoder)
        endless = regex(f"[ -~]{{{8 * given.tokens}}}")  # no token is longer, so that none ends it early
        ours(decoder, given.tokens), ours(decoder, given.tokens, endless), peer(decoder, given.tokens)  # unmeasured
        rounds = [
            (
                rate(lambda: ours(decoder, given.tokens)),
                rate(lambda: ours(decoder, given.tokens, endless)),
                rate(lambda: peer(decoder, given.tokens)),
            )
            for _ in range(given.runs)
        ]
    free, held, plain = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(one / other for _, one, other in rounds)
    print(f"{given.model}, {torch.get_num_threads()} threads, medians of {given.runs} runs of {given.tokens} tokens")
    print(f"loading, libraries in memory     {loaded:7.2f} s")
    print(f"first token after the load       {first:7.2f} s   bar {FIRST_TOKEN_BAR:g}")
    print(f"ours, may end by itself          {free:7.1f} tokens/s")
    print(f"ours, held to a constraint       {held:7.1f} tokens/s   bar {RATE_BAR:g}")
    print(f"transformers.generate            {plain:7.1f} tokens/s   ours is {ratio:.2f} times as fast")
    return int(first > FIRST_TOKEN_BAR or held < RATE_BAR)


if __name__ == "__main__":
    sys.exit(main())
