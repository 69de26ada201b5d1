"""A server's own figures: the Prometheus text of `/metrics` read, and what vLLM's counters say per second.

The text format is Prometheus' exposition format 0.0.4; of it, samples with their names, labels and values are read,
and what is no sample is passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from decoder.errors import MalformedResponse
from decoder.server_http import request

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"[ \t]*,?[ \t]*')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the text."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a vLLM server said of itself at one moment; None where it says nothing.

    Attributes:
        at: seconds, of any clock that only goes forward.
        running, waiting: requests.
        cache_usage: share of the key-value cache that is in use.
        prefix_queries, prefix_hits: tokens looked up in the prefix cache and found there, since the server started.
        prompt_tokens, generation_tokens: since the server started.
    """

    at: float
    running: float | None = None
    waiting: float | None = None
    cache_usage: float | None = None
    prefix_queries: float | None = None
    prefix_hits: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What two readings say of the time between them; None where that cannot be told.

    Attributes:
        prompt, generation: tokens per second.
        prefix_hits: share of the tokens looked up in the prefix cache that were there; None when none was looked up.
    """

    prompt: float | None
    generation: float | None
    prefix_hits: float | None


NAMES = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "cache_usage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "prefix_queries": ("vllm:prefix_cache_queries_total",),
    "prefix_hits": ("vllm:prefix_cache_hits_total",),
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    "generation_tokens": ("vllm:generation_tokens_total",),
}
"""Fields of `Reading`, and what vLLM calls them (0.32.0, and where it differs, older versions)."""


def parse(text: str) -> Iterator[Sample]:
    """The samples of a text, in order."""
    for line in text.split("\n"):
        found = _SAMPLE.fullmatch(line.removesuffix("\r"))
        if found is None or line.startswith("#"):
            continue
        try:
            value = float(found.group(3))
        except ValueError:
            continue
        labels = {name: _unescaped(given) for name, given in _LABEL.findall(found.group(2) or "")}
        yield Sample(found.group(1), labels, value)


def reading(text: str, at: float) -> Reading:
    """What the text says of a vLLM server. Engines of one server add up; of their caches' use, the mean counts."""
    values: dict[str, list[float]] = {}
    for sample in parse(text):
        if math.isfinite(sample.value):
            values.setdefault(sample.name, []).append(sample.value)
    found: dict[str, float] = {}
    for field, names in NAMES.items():
        if given := next((values[name] for name in names if name in values), None):
            found[field] = sum(given) / len(given) if field == "cache_usage" else sum(given)
    return Reading(at, **found)


def rates(before: Reading, after: Reading) -> Rates:
    """What happened between two readings of one server. A counter that fell began again at zero."""
    seconds = after.at - before.at
    prompt = _increase(before.prompt_tokens, after.prompt_tokens)
    generation = _increase(before.generation_tokens, after.generation_tokens)
    asked = _increase(before.prefix_queries, after.prefix_queries)
    hits = _increase(before.prefix_hits, after.prefix_hits)
    share = min(1.0, hits / asked) if asked and hits is not None else None
    return Rates(_per(prompt, seconds), _per(generation, seconds), share)


def ask(base_url: str, at: float, timeout: float = 2.0) -> Reading:
    """What the server at this address says of itself now. Raises ConnectFailed, MalformedResponse."""
    status, text = request(base_url, "/metrics", timeout=timeout)
    if status != 200:
        cause = f"{base_url} has no /metrics (HTTP {status})"
        raise MalformedResponse("reading metrics", cause, "vLLM has them; others may not")
    return reading(text, at)


def _increase(before: float | None, after: float | None) -> float | None:
    if before is None or after is None:
        return None
    return after - before if after >= before else after


def _per(amount: float | None, seconds: float) -> float | None:
    return None if amount is None or seconds <= 0 else amount / seconds


def _unescaped(text: str) -> str:
    return re.sub(r"\\[\\\"n]", lambda match: _ESCAPES[match.group()], text)
