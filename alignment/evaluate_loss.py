"""Loss on held-out text, in nats a token: of a model in process, or of one that vLLM serves. exp(loss) is perplexity.

Every token that counts is one of the completion, or of the text after its first token; a prompt's tokens and padding
never count. Prompt and completion are turned into tokens apart and joined, so that both ways count the same ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from alignment.errors import ModelError
from decoder.errors import MalformedResponse, UsageError
from decoder.server_http import error_message, request
from prompts.rows import BadRow, lines, parse_object

if TYPE_CHECKING:
    from decoder.server import RunningServer

STEP = "measuring the loss"
EXAMPLE = '{"text": "…"} or {"prompt": "…", "completion": "…"}'


@dataclass(frozen=True, slots=True)
class Text:
    """Held-out text: with a prompt, only the completion counts."""

    id: str
    text: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class TextLoss:
    """Of one text: nats in all, and tokens that counted (at least one)."""

    nats: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats a token."""
        return self.nats / self.tokens


Losses: TypeAlias = Callable[[Sequence[Text]], Awaitable[list[TextLoss | None]]]
"""Losses of texts, in order; None for one without a token that counts."""


def read_texts(path: Path, limit: int = 0) -> tuple[Text, ...]:
    """Rows of a JSONL file. Raises BadRow, UsageError."""
    found = []
    for number, line in lines(path, "reading held-out text"):
        row = parse_object(line, number, BadRow, EXAMPLE)
        text, prompt = row.get("completion", row.get("text")), row.get("prompt", "") if "completion" in row else ""
        if not isinstance(text, str) or not text or not isinstance(prompt, str):
            raise BadRow(number, "text", "it is missing, empty or no text", f"Write {EXAMPLE}")
        found.append(Text(str(row.get("id") or number), text, prompt))
        if len(found) == limit:
            break
    if not found:
        raise UsageError("reading held-out text", f"{path} holds no text", f"Write one a line: {EXAMPLE}")
    return tuple(found)


def text_losses(
    model: Any, tokenizer: Any, texts: Sequence[Text], batch: int = 8, most_tokens: int = 1024
) -> list[TextLoss | None]:
    """The losses of a transformers model, in batches padded on the right.

    Args:
        most_tokens: a text is cut off after so many.
    """
    import torch

    rows = [_ids(tokenizer, text, most_tokens) for text in texts]
    found: list[TextLoss | None] = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            found += _batch_losses(model, rows[start : start + batch])
    return found


def in_process(model: Any, tokenizer: Any, batch: int = 8) -> Losses:
    """`text_losses` of a model as `Losses`."""

    async def losses(texts: Sequence[Text]) -> list[TextLoss | None]:
        return await asyncio.to_thread(text_losses, model, tokenizer, texts, batch)

    return losses


def served(server: RunningServer, model: str, concurrency: int = 4, most_tokens: int = 1024) -> Losses:
    """The losses of a model that vLLM serves, one small request a token; `Losses` raises DecoderError leaves.

    Args:
        concurrency: texts under way at once.
    """

    async def losses(texts: Sequence[Text]) -> list[TextLoss | None]:
        gate = asyncio.Semaphore(concurrency)

        async def one(text: Text) -> TextLoss | None:
            async with gate:
                return await asyncio.to_thread(_served_loss, server, model, text, most_tokens)

        return list(await asyncio.gather(*(one(text) for text in texts)))

    return losses


def _ids(tokenizer: Any, text: Text, most: int) -> tuple[list[int], int]:
    """Tokens, and how many at the beginning do not count."""
    if not text.prompt:
        ids = tokenizer(text.text)["input_ids"][:most]
        return ids, min(1, len(ids))
    before = tokenizer(text.prompt)["input_ids"]
    ids = [*before, *tokenizer(text.text, add_special_tokens=False)["input_ids"]][:most]
    return ids, min(max(1, len(before)), len(ids))


def _batch_losses(model: Any, rows: Sequence[tuple[list[int], int]]) -> list[TextLoss | None]:
    import torch

    width = max((len(ids) for ids, _ in rows), default=0)
    if width == 0:
        return [None for _ in rows]
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    attended = torch.zeros_like(ids)
    counted = torch.zeros((len(rows), width), dtype=torch.bool)
    for row, (tokens, skipped) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
        attended[row, : len(tokens)] = 1
        counted[row, skipped : len(tokens)] = True
    ids, attended, counted = (tensor.to(model.device) for tensor in (ids, attended, counted))
    logits = model(input_ids=ids, attention_mask=attended).logits[:, :-1].float()
    nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    live = counted[:, 1:]
    sums, counts = (nats * live).sum(1).tolist(), live.sum(1).tolist()
    if not all(torch.isfinite(torch.tensor(sums))):
        raise ModelError(STEP, "the model's loss is no number", "Load it in float32 or bfloat16")
    return [TextLoss(total, count) if count else None for total, count in zip(sums, counts, strict=True)]


def _served_loss(server: RunningServer, model: str, text: Text, most: int) -> TextLoss | None:
    before = _served_ids(server, model, text.prompt, True) if text.prompt else []
    ids = [*before, *_served_ids(server, model, text.text, not text.prompt)][:most]
    first = max(1, len(before))
    if len(ids) <= first:
        return None
    return TextLoss(sum(_nats(server, model, ids[:at], ids[at]) for at in range(first, len(ids))), len(ids) - first)


def _nats(server: RunningServer, model: str, before: list[int], token: int) -> float:
    """-log p(token | before): the one token that may follow is drawn, and told with the probability it had freely.

    One request a token, whose prompt the server has in its prefix cache but for the last token. vLLM's
    `prompt_logprobs` would take one request a text, but with an adapter, and other requests in the same batch, vLLM
    0.32.0 dies of it on a CPU: the adapter's indices are those of the sampled tokens alone.
    """
    body = {"model": model, "prompt": before, "max_tokens": 1, "temperature": 0, "logprobs": 0}
    answer = _post(server, "/v1/completions", {**body, "allowed_token_ids": [token]})
    try:
        return -float(answer["choices"][0]["logprobs"]["token_logprobs"][0])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        remedy = "Measure a model in process instead"
        raise MalformedResponse(STEP, f"the server tells no log-probability ({error!r})", remedy) from error


def _served_ids(server: RunningServer, model: str, text: str, special: bool) -> list[int]:
    body = {"model": model, "prompt": text, "add_special_tokens": special}
    try:
        return [int(each) for each in _post(server, "/tokenize", body)["tokens"]]
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedResponse(STEP, "the server tells no tokens", "Measure a model in process instead") from error


def _post(server: RunningServer, path: str, body: dict[str, Any]) -> Any:
    status, text = request(server.base_url, path, body, api_key=server.api_key, timeout=120.0)
    try:
        if status == 200:
            return json.loads(text)
    except ValueError as error:
        raise MalformedResponse(STEP, f"{path} answered no JSON", "See the server's log") from error
    raise MalformedResponse(STEP, f"{path}: {error_message(text)} (HTTP {status})", "See the server's log")
