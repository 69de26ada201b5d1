"""The keys of `training:` in a PPO recipe. What TRL's other trainers have too means what it means there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trl.trainer.base_config import _BaseConfig


@dataclass
class PPOConfig(_BaseConfig):
    """transformers' TrainingArguments, and PPO's own keys, named as in TRL's PPOConfig up to 1.12 and in GRPOConfig.

    One optimizer step sees per_device_train_batch_size x gradient_accumulation_steps x processes episodes, as
    elsewhere; one step of the run gathers num_mini_batches times as many and goes over them num_ppo_epochs times.
    `max_steps`, `logging_steps`, `save_steps`, `eval_steps` and the learning rate's schedule count steps of the run.

    Attributes:
        adam_epsilon: 1e-5, as in OpenAI's code (Huang et al. 2024).
        num_ppo_epochs: passes over each rollout.
        num_mini_batches: optimizer steps in each pass.
        local_rollout_forward_batch_size: episodes generated and scored at once, in each process.
        max_prompt_length: tokens of a prompt; longer ones are left out and listed. None: no limit.
        max_completion_length: tokens of a response.
        temperature: of sampling; the policy that is trained, and the reference, are those at this temperature.
        missing_eos_penalty: taken from the score of a response that did not end by itself.
        kl_coef: beta, the price of a nat of KL to the reference.
        kl_estimator: "k1" or "k3", inside the reward.
        adaptive_kl: steer beta towards `adaptive_kl_target`, a KL an episode in nats, over `adaptive_kl_horizon`
            episodes.
        target_kl: end a step's passes when the policy is this far from the one that generated, in nats a token.
        cliprange, cliprange_value: of the ratio, and of the change of the values.
        vf_coef: weight of the value loss.
        gamma, lam: discount and lambda of GAE.
        whiten_rewards: scale the per-token rewards to variance 1.
        whiten_advantages: scale the advantages to mean 0 and variance 1.
        critic: "head" on the policy's hidden states, or a "separate" model.
        critic_model: folder or hub name of the separate critic's start, such as the reward model (Stiennon et al.
            2020), adapter or whole; empty: the policy's base.
        use_vllm: generate with a vLLM server that runs on this machine with LoRA allowed; the log-probabilities are
            computed here.
        vllm_server_base_url: with its /v1. vllm_server_model: the base model's name there; empty: the first it lists.
        vllm_server_timeout: seconds for the answer to one prompt.
        num_sample_generations: samples kept in samples.jsonl at each log.
    """

    learning_rate: float = 3e-6
    adam_epsilon: float = 1e-5
    max_steps: int = -1
    num_train_epochs: float = 1.0
    logging_steps: float = 1
    per_device_train_batch_size: int = 8
    num_ppo_epochs: int = 4
    num_mini_batches: int = 1
    local_rollout_forward_batch_size: int = 64
    max_prompt_length: int | None = None
    max_completion_length: int = 256
    temperature: float = 1.0
    missing_eos_penalty: float | None = None
    kl_coef: float = 0.05
    kl_estimator: str = "k1"
    adaptive_kl: bool = False
    adaptive_kl_target: float = 6.0
    adaptive_kl_horizon: int = 10_000
    target_kl: float | None = None
    cliprange: float = 0.2
    cliprange_value: float = 0.2
    vf_coef: float = 0.1
    gamma: float = 1.0
    lam: float = 0.95
    whiten_rewards: bool = False
    whiten_advantages: bool = True
    critic: str = "head"
    critic_model: str = ""
    use_vllm: bool = False
    vllm_server_base_url: str = ""
    vllm_server_model: str = ""
    vllm_server_timeout: float = 240.0
    num_sample_generations: int = 4

    def __post_init__(self) -> None:
        """Raises ValueError for a value that cannot be meant."""
        for name, (low, high, open_low) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high, open_low)
        _check_choice("kl_estimator", self.kl_estimator, ("k1", "k3"))
        _check_choice("critic", self.critic, ("head", "separate"))
        for name in ("save_strategy", "logging_strategy", "eval_strategy"):
            _check_choice(name, str(getattr(getattr(self, name), "value", getattr(self, name))), ("steps", "no"))
        if self.critic_model and self.critic != "separate":
            raise ValueError("critic_model is the start of a separate critic: set critic: separate")
        if self.use_vllm and not self.vllm_server_base_url:
            raise ValueError("use_vllm needs vllm_server_base_url")
        super().__post_init__()  # type: ignore[no-untyped-call]

    @property
    def episodes(self) -> int:
        """Episodes of one step in each process."""
        return int(self.per_device_train_batch_size * self.gradient_accumulation_steps * self.num_mini_batches)


_INF = math.inf
_RANGES: dict[str, tuple[float, float, bool]] = {
    # name: lowest, highest, whether the lowest itself is refused
    "per_device_train_batch_size": (1, _INF, False),
    "gradient_accumulation_steps": (1, _INF, False),
    "num_ppo_epochs": (1, _INF, False),
    "num_mini_batches": (1, _INF, False),
    "local_rollout_forward_batch_size": (1, _INF, False),
    "max_prompt_length": (1, _INF, False),
    "max_completion_length": (1, _INF, False),
    "temperature": (0, _INF, True),
    "missing_eos_penalty": (0, _INF, False),
    "kl_coef": (0, _INF, False),
    "adaptive_kl_target": (0, _INF, True),
    "adaptive_kl_horizon": (1, _INF, False),
    "target_kl": (0, _INF, True),
    "cliprange": (0, _INF, True),
    "cliprange_value": (0, _INF, True),
    "vf_coef": (0, _INF, False),
    "gamma": (0, 1, False),
    "lam": (0, 1, False),
    "vllm_server_timeout": (0, _INF, True),
    "num_sample_generations": (0, _INF, False),
}


def _check_range(name: str, value: Any, low: float, high: float, open_low: bool) -> None:
    if value is None:
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, no number")
    if not (low < value if open_low else low <= value) or not value <= high or math.isinf(value):
        bounds = f"{'above' if open_low else 'at least'} {low}" + (f" and at most {high}" if high < _INF else "")
        raise ValueError(f"{name} is {value}; it must be {bounds}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(choices)}")
