"""Responses drawn by a vLLM server on this machine, from the adapter as it is trained.

Prompts go as token ids and responses come as token ids: nothing is tokenised a second time, so what is scored is what
was drawn. Adapters get names and folders by what they hold, because vLLM keys its cache by both and keeps it when an
adapter goes: another run of the same name may not read what this one left. The server's log-probabilities are not
used: the old ones are computed by the forward that the update uses.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from alignment.ppo_config import PPOConfig
from decoder import adapters
from decoder.errors import HearthError, MalformedResponse, RecipeError, TrainingError
from decoder.server_http import error_message, model_names, request

STEP = "generating with the server"
IN_FLIGHT = 32


class ServedPolicy:
    """Generates with a server.

    Args:
        run: a name for this run's adapters.
        folder: where they are written; the server must be able to read it.
        main: whether this process loads them; the others only ask.
    """

    def __init__(self, policy: Any, config: PPOConfig, run: str, folder: Path, main: bool = True) -> None:
        if not hasattr(policy, "peft_config"):
            remedy = "Add a `lora:` section, or leave out training.use_vllm"
            raise RecipeError(STEP, "only an adapter can be handed to a running server", remedy)
        self.policy, self.config, self.run, self.folder, self.main = policy, config, run, folder, main
        self.base_url = config.vllm_server_base_url
        listed = model_names(self.base_url)
        if config.vllm_server_model and config.vllm_server_model not in listed:
            cause = f"{self.base_url} serves {', '.join(listed)}, not {config.vllm_server_model}"
            raise RecipeError(STEP, cause, "Mend training.vllm_server_model")
        self.loaded = ""

    def sync(self, step: int) -> None:
        """Have the server load the adapter as it is now, in place of the one before. Raises AdapterFailed."""
        name = f"{self.run}-step-{step}-{_content(self.policy)}"
        if name == self.loaded:  # an evaluation asked the same weights
            return
        if self.main:
            for left in [] if self.loaded else self.folder.glob(f"{glob.escape(self.run)}-step-*"):
                self._remove(left.name)  # by a run that was killed; the server may still hold it
            path = self.folder / name
            self.policy.save_pretrained(str(path), selected_adapters=["default"])
            with contextlib.suppress(HearthError):  # one of the same name, from a run that was killed
                adapters.unload(self.base_url, name)
            adapters.load(self.base_url, name, str(path.resolve()))
            self.forget()
        self.loaded = name

    def generate(self, prompts: Sequence[Sequence[int]], stops: frozenset[int], seed: int) -> list[list[int]]:
        """One response's token ids for each prompt, its stop token included. Raises TrainingError, DecoderError."""
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return list(pool.map(lambda job: self._one(job[1], stops, seed + job[0]), enumerate(prompts)))

    def forget(self) -> None:
        """Have the server forget this run's adapter, and remove its folder."""
        if self.main and self.loaded:
            self._remove(self.loaded)
        self.loaded = ""

    def _remove(self, name: str) -> None:
        with contextlib.suppress(HearthError):  # a server that restarted has forgotten it already
            adapters.unload(self.base_url, name)
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _one(self, prompt: Sequence[int], stops: frozenset[int], seed: int) -> list[int]:
        body = request_body(self.loaded, prompt, stops, self.config, seed)
        status, text = request(self.base_url, "/v1/completions", body, timeout=self.config.vllm_server_timeout)
        if status != 200:
            remedy = "See the server's log; its --max-model-len must hold prompt and response"
            raise TrainingError(STEP, f"HTTP {status}: {error_message(text)}", remedy)
        return _token_ids(text, list(prompt))


def _content(policy: Any) -> str:
    """A hash of the trained weights, which are the same in every process."""
    digest = hashlib.sha256()
    for name, weights in policy.named_parameters():
        if weights.requires_grad:
            digest.update(name.encode() + weights.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def request_body(
    model: str, prompt: Sequence[int], stops: frozenset[int], config: PPOConfig, seed: int
) -> dict[str, Any]:
    """One request. Every setting that could change the distribution is given: a server has defaults of its own."""
    return {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": config.max_completion_length,
        "temperature": config.temperature,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": seed,
        "stop_token_ids": sorted(stops),
        "return_token_ids": True,
        "add_special_tokens": False,
        "logprobs": 0,
    }


def _token_ids(text: str, prompt: list[int]) -> list[int]:
    try:
        choice = json.loads(text)["choices"][0]
        ids, seen = choice["token_ids"], choice["prompt_token_ids"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        cause = "the answer holds no token ids"
        raise MalformedResponse(STEP, cause, "Use a vLLM that knows return_token_ids") from error
    if seen != prompt:
        raise MalformedResponse(STEP, "the server read other prompt tokens than were sent", "Use a vLLM server")
    if not ids:
        raise MalformedResponse(STEP, "the server drew no token", "Give it a longer --max-model-len")
    return [int(token) for token in ids]
