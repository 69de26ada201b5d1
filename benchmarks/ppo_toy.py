"""A language small enough to write out: five tokens, responses of at most three, so that every expectation is a sum.

What is computed here is written from the definitions, a response at a time and without padding, and shares no code with
`alignment/ppo_*.py`: it is what those are held against.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PAD, STOP, VOCABULARY, LENGTH = 0, 1, 5, 3
WORDS = ("<pad>", "<stop>", "a", "b", "c")
PROMPTS = ((2, 3), (4, 4, 2, 3))
RESPONSES = tuple(
    response
    for length in range(1, LENGTH + 1)
    for response in itertools.product(range(VOCABULARY), repeat=length)
    if STOP not in response[:-1] and (response[-1] == STOP or length == LENGTH)
)
"""All 85 of them; the padding token may be drawn like any other."""


def policy(seed: int, dtype: torch.dtype = torch.float64, hidden: int = 16, scale: float = 0.5) -> Any:
    """A random Llama of one layer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        initializer_range=scale,
        bos_token_id=None,
        eos_token_id=STOP,
        pad_token_id=PAD,
    )
    return LlamaForCausalLM(config).to(dtype)


def moved(model: Any, seed: int, by: float = 0.05) -> Any:
    """A copy with noise on every weight."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in other.parameters():
            weights += by * torch.randn(weights.shape, generator=generator, dtype=weights.dtype)
    return other


def tokenizer() -> Any:
    """A word a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<stop>")


def episodes() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every prompt with every response."""
    return list(itertools.product(PROMPTS, RESPONSES))


def token_logprobs(model: Any, prompt: tuple[int, ...], response: tuple[int, ...], temperature: float) -> Tensor:
    """(length of the response,), from one unpadded sequence."""
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits / temperature, dim=-1)[torch.arange(len(response)), list(response)]


def state_values(model: Any, head: Any, prompt: tuple[int, ...], response: tuple[int, ...]) -> Tensor:
    """(length of the response,): the head on the last hidden state before each of its tokens."""
    out = model(input_ids=torch.tensor([prompt + response]), output_hidden_states=True)
    return head(out.hidden_states[-1][0, len(prompt) - 1 : -1]).squeeze(-1)


def table(model: Any, temperature: float) -> list[Tensor]:
    """`token_logprobs` of every episode."""
    return [token_logprobs(model, prompt, response, temperature) for prompt, response in episodes()]


def objective(model: Any, reference: Any, scores: Tensor, beta: float, temperature: float) -> Tensor:
    """J = E[r] - beta KL(model || reference), the mean over the prompts, as a sum over all responses.

    Args:
        scores: a reward for each of `episodes()`.
    """
    ours = torch.stack([each.sum() for each in table(model, temperature)])
    with torch.no_grad():
        theirs = torch.stack([each.sum() for each in table(reference, temperature)])
    return (ours.exp() * (scores - beta * (ours - theirs))).sum() / len(PROMPTS)


@dataclass(frozen=True)
class Solution:
    """How good a policy is: J of it, of the reference and of the best one, and its KL to the best one."""

    j: float
    j_ref: float
    j_best: float
    kl_to_best: float

    @property
    def share(self) -> float:
        """Of what could be gained over the reference."""
        return (self.j - self.j_ref) / (self.j_best - self.j_ref)


@torch.no_grad()
def solve(model: Any, reference: Any, scores: Tensor, beta: float, temperature: float) -> Solution:
    """The best policy is pi*(y) ~ ref(y) exp(r(y) / beta), and J* = beta log E_ref[exp(r / beta)]."""
    count = len(PROMPTS)
    ours, theirs = (
        torch.stack([each.sum() for each in table(one, temperature)]).view(count, -1) for one in (model, reference)
    )
    rewards = scores.view(count, -1).to(ours.dtype)
    best = torch.log_softmax(theirs + rewards / beta, dim=1)
    return Solution(
        j=float((ours.exp() * (rewards - beta * (ours - theirs))).sum() / count),
        j_ref=float((theirs.exp() * rewards).sum() / count),
        j_best=float((beta * torch.logsumexp(theirs + rewards / beta, dim=1)).mean()),
        kl_to_best=float((ours.exp() * (ours - best)).sum() / count),
    )


def advantages(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """GAE of one episode by its definition: the sum over l of (gamma lam)^l delta_{t+l}."""
    length = len(rewards)
    following = torch.cat([values[1:], torch.zeros(1, dtype=values.dtype)])
    deltas = rewards + gamma * following - values
    return torch.stack([sum((gamma * lam) ** (s - t) * deltas[s] for s in range(t, length)) for t in range(length)])


def scores(seed: int) -> Tensor:
    """A reward for each of `episodes()`: random values of tokens and of pairs of neighbours, summed."""
    generator = torch.Generator().manual_seed(seed)
    single = 0.5 * torch.randn(VOCABULARY, generator=generator)
    pairs = 0.3 * torch.randn(VOCABULARY, VOCABULARY, generator=generator)
    return torch.stack(
        [
            sum((single[token] for token in response), torch.zeros(()))
            + sum((pairs[one, two] for one, two in itertools.pairwise((prompt[-1], *response))), torch.zeros(()))
            for prompt, response in episodes()
        ]
    )


def reward_function(of: Tensor) -> Any:
    """The same rewards as a function that a run can be given."""
    known = dict(zip(episodes(), of.tolist(), strict=True))
    names = {" ".join(WORDS[token] for token in prompt): prompt for prompt in PROMPTS}

    def toy_reward(prompts: list[str], completion_ids: list[list[int]]) -> list[float]:
        return [known[names[text], tuple(ids)] for text, ids in zip(prompts, completion_ids, strict=True)]

    return toy_reward


def rows() -> list[dict[str, str]]:
    """The prompts as rows of data."""
    return [{"prompt": " ".join(WORDS[token] for token in prompt)} for prompt in PROMPTS]
