"""hearth-tiny in process: seconds until it can be asked, until its first token, and tokens a second.

    python -m benchmarks.tiny_speed [--model FOLDER] [--tokens 200] [--runs 5]

The peer is `transformers.generate` with the same weights, prompt and number of tokens, in turns with ours in the same
run; both are greedy. Ours is held to a constraint, as an action of an agent is, which keeps it from an early end; the
peer is told how many tokens to make. CPU seconds depend less on what else the machine does. Exit code 1 when a bar is
missed on the clock: the first token within a second of the load's end, 60 tokens a second.
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


def rates(generate: Callable[[], int]) -> tuple[float, float]:
    """Tokens a second, and tokens a second of this process' CPU time."""
    began, used = time.perf_counter(), time.process_time()
    tokens = generate()
    return tokens / (time.perf_counter() - began), tokens / (time.process_time() - used)


def load(model: str) -> tuple[EmbeddedDecoder, float]:
    """A decoder whose model is loaded, and the seconds it took."""
    began = time.perf_counter()
    decoder = EmbeddedDecoder(model, device="cpu")
    decoder.load()
    return decoder, time.perf_counter() - began


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


def ours(decoder: EmbeddedDecoder, tokens: int, constraint: Constraint) -> int:
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

    first_decoder, with_libraries = load(given.model)
    first_decoder.close()
    decoder, alone = load(given.model)
    with decoder:
        first = first_token(decoder)
        long = regex(f"[ -~]{{{8 * given.tokens}}}")  # as many characters as no such answer has: none ends early
        ours(decoder, given.tokens, long), peer(decoder, given.tokens)  # unmeasured
        rounds = [
            (*rates(lambda: ours(decoder, given.tokens, long)), *rates(lambda: peer(decoder, given.tokens)))
            for _ in range(given.runs)
        ]
    held, held_cpu, plain, plain_cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio, ratio_cpu = (statistics.median(each[n] / each[n + 2] for each in rounds) for n in (0, 1))
    print(f"{given.model}, {torch.get_num_threads()} threads, medians of {given.runs} runs of {given.tokens} tokens")
    print(f"loading, with the libraries      {with_libraries:7.2f} s")
    print(f"loading, libraries in memory     {alone:7.2f} s")
    print(f"first token after the load       {first:7.2f} s          bar {FIRST_TOKEN_BAR:g}")
    print(f"ours, held to a constraint       {held:7.1f} tokens/s   bar {RATE_BAR:g}   {held_cpu:7.1f} by CPU time")
    print(f"transformers.generate            {plain:7.1f} tokens/s            {plain_cpu:7.1f} by CPU time")
    print(f"ours, of transformers' rate      {ratio:7.2f}                     {ratio_cpu:7.2f} by CPU time")
    return int(first > FIRST_TOKEN_BAR or held < RATE_BAR)


if __name__ == "__main__":
    sys.exit(main())
