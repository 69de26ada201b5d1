"""The life of a PPO run: draw prompts, generate, score, learn, log, keep checkpoints, stop when asked.

Built on accelerate: several processes each take their part of every step's episodes. One step is one rollout.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from alignment import ppo_checkpoint
from alignment.data_split import rows_hash
from alignment.errors import DataError
from alignment.ppo_config import PPOConfig
from alignment.ppo_critic import Reference
from alignment.ppo_experience import make_experience
from alignment.ppo_kl import KlControl
from alignment.ppo_losses import masked_mean
from alignment.ppo_models import Models
from alignment.ppo_optimizer import every, make_optimizer, make_schedule
from alignment.ppo_reporting import Reporter
from alignment.ppo_rollout import Rollout, collect, encode_prompts, generate, stop_tokens
from alignment.ppo_scores import Scores, score
from alignment.ppo_served import ServedPolicy
from alignment.ppo_update import update
from alignment.reward_sources import RewardFunction
from decoder.errors import RecipeError, Stopped
from decoder.runs.checkpoints import last_whole
from decoder.runs.folder import RunFolder


class PPOTrainer:
    """Trains `models.model` on `rows`; `train()` does it all, `step()` one step.

    Args:
        rows: of the data, each with `prompt` (text or messages) and further columns for the rewards.
        rewards: their sum is maximised. gold: watched alone.
        folder: takes metrics, samples and checkpoints.
        eval_rows: prompts whose responses are rewarded every `eval_steps`.
    """

    def __init__(
        self,
        models: Models,
        tokenizer: Any,
        rows: Sequence[Mapping[str, Any]],
        rewards: Sequence[RewardFunction],
        config: PPOConfig,
        folder: RunFolder,
        gold: RewardFunction | None = None,
        eval_rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.tokenizer, self.rows, self.eval_rows = tokenizer, rows, eval_rows
        self.rewards, self.gold, self.config, self.folder = rewards, gold, config, folder
        self.accelerator = make_accelerator(config)
        self.policy = models.model.policy
        self.stops = stop_tokens(self.policy, tokenizer)
        self.prompts = encode_prompts(tokenizer, rows)
        self.steps = self._count_steps()
        optimizer = make_optimizer(models.model, config)
        self.schedule = make_schedule(optimizer, config, self.steps)
        self.model, self.optimizer = self.accelerator.prepare(models.model, optimizer)
        frozen: Any = None
        if models.frozen is not None:  # in the policy's precision, or rounding would look like KL
            frozen = self.accelerator.prepare_model(models.frozen, evaluation_mode=True)
        self.reference = Reference(self.model, self.policy, frozen, models.adapter)
        self.kl = KlControl(
            config.kl_coef, config.adaptive_kl_target if config.adaptive_kl else None, config.adaptive_kl_horizon
        )
        self.done = 0
        self.served = self._served() if config.use_vllm else None
        self.reporter = Reporter(config, folder, self.model, tokenizer, self.accelerator.is_main_process, self.steps)

    def train(self, resume: bool = False, asked: threading.Event | None = None) -> dict[str, float]:
        """Run the steps that are left and return the last one's figures; where none is left, those that were logged.

        Args:
            resume: go on from the folder's last checkpoint, where there is one.
            asked: when set, the run ends after the step under way.

        Raises:
            Stopped: it was asked to end, and a checkpoint is written.
            Diverged: a loss is no number. DataError: a reward is none. CheckpointFailed: the disk refused.
        """
        figures: dict[str, float] = {}
        torch.manual_seed(self.config.seed + self.accelerator.process_index)
        if resume:
            self._resume()
        self.reporter.begin(self.done)
        try:
            while self.done < self.steps:
                figures = self.step()
                stop = self._anywhere(asked is not None and asked.is_set())
                if stop or self._due(self.config.save_strategy, self.config.save_steps, last=True):
                    self.save_checkpoint()
                if stop and self.done < self.steps:
                    raise Stopped("training", f"a signal ended it after step {self.done}", "Go on with --resume")
        finally:
            if self.served is not None:
                self.served.forget()
            self.reporter.end()
        return figures or self._last_logged()

    def step(self) -> dict[str, float]:
        """One rollout and the passes over it."""
        numbers = self._draw(self.done)
        rollout = self.roll_out([self.prompts[n] for n in numbers], self.done)
        scores, texts = self.score(rollout, [self.rows[n] for n in numbers], numbers)
        values = torch.tensor(scores.total, device=self.accelerator.device)
        kl_coef = self.kl.coefficient
        experience, found = make_experience(
            self.model, self.reference, rollout, values, self.config, kl_coef, self._reduce
        )
        figures = {name: float(value) for name, value in found.items()} | self._reward_figures(scores)
        figures |= {"kl_coef": kl_coef, "learning_rate": float(self.schedule.get_last_lr()[0])}
        figures |= update(self.model, self.optimizer, self.accelerator, experience, self.config, self.done + 1, numbers)
        self.schedule.step()
        self.kl.update(figures["kl"], self.config.episodes * self.accelerator.num_processes)
        self.done += 1
        figures["epoch"] = self.done * self.config.episodes * self.accelerator.num_processes / len(self.rows)
        if self._due(self.config.eval_strategy, self.config.eval_steps or self.config.logging_steps, last=True):
            figures |= self.evaluate()
        if self._due(self.config.logging_strategy, self.config.logging_steps, last=True):
            self.reporter.log(self.done, figures)
            self.reporter.samples(self.done, rollout, texts, scores)
        return figures

    def roll_out(self, prompts: Sequence[Sequence[int]], step: int) -> Rollout:
        """Draw a response to each prompt."""
        from trl.models.utils import unwrap_model_for_generation

        pad = int(self.tokenizer.pad_token_id)
        if self.served is not None:
            self.served.sync(step)
            self.accelerator.wait_for_everyone()
            seed = (self.config.seed + step * 1_000_003 + self.accelerator.process_index * 100_003) % 2**31
            responses = self.served.generate(prompts, self.stops, seed)
        else:
            unwrapping = unwrap_model_for_generation(self.model, self.accelerator)
            with unwrapping as unwrapped, self.accelerator.autocast():  # drawn in the precision that is scored
                responses = generate(unwrapped.policy, prompts, self.stops, pad, self.config)
        return collect(prompts, responses, self.stops, pad, self.accelerator.device)

    def score(
        self, rollout: Rollout, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int] = ()
    ) -> tuple[Scores, list[str]]:
        """The rewards of a rollout, and its responses as text."""
        ids = rollout.responses()
        texts = [str(self.tokenizer.decode(response, skip_special_tokens=True)) for response in ids]
        return score(rows, texts, ids, self.rewards, self.gold, numbers), texts

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Rewards of fresh responses to the evaluation's prompts, as eval_reward and its like."""
        mine = list(self.eval_rows)[self.accelerator.process_index :: self.accelerator.num_processes]
        if len(self.eval_rows) < self.accelerator.num_processes:
            return {}
        rollout = self.roll_out(encode_prompts(self.tokenizer, mine), self.done)
        scores, _ = self.score(rollout, mine)
        figures = self._reward_figures(scores)
        length = masked_mean(rollout.live.sum(1).float(), rollout.weights, self._reduce)
        return {f"eval_{name}": value for name, value in figures.items()} | {"eval_response_length": float(length)}

    def save_checkpoint(self) -> None:
        """Write what `resume` goes on from. Raises CheckpointFailed."""
        state = {
            "step": self.done,
            "rows": rows_hash(self.rows),
            "kl_coef": self.kl.coefficient,
            "schedule": self.schedule.state_dict(),
        }
        keep = self.config.save_total_limit or 0
        ppo_checkpoint.save(self.folder, state, self.model, self.optimizer, self.accelerator, keep)

    def save_model(self) -> None:
        """Write the policy (adapter or whole) and its tokenizer to the folder's `model`. Raises CheckpointFailed."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            ppo_checkpoint.save_result(self.folder, self.policy, self.tokenizer, self.done)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        checkpoint = last_whole(self.folder.checkpoints())
        if checkpoint:
            state = ppo_checkpoint.load(checkpoint, self.model, self.optimizer, self.accelerator)
            if state["rows"] != rows_hash(self.rows):
                raise DataError("resuming", "the run began with other rows", "Resume with the data that it began with")
            self.done, self.kl.coefficient = state["step"], state["kl_coef"]
            self.schedule.load_state_dict(state["schedule"])
        if self.accelerator.is_main_process:
            self.folder.forget_after(self.done)

    def _last_logged(self) -> dict[str, float]:
        lines = reversed(self.folder.metrics())
        found: dict[str, Any] = next((line for line in lines if "reward" in line), {})
        return {name: figure for name, figure in found.items() if name != "step"}

    def _draw(self, step: int) -> list[int]:
        """This process's rows of a step: the data in a new order each time it begins again, told by the seed alone."""
        mine, count = self.config.episodes, len(self.rows)
        start = step * mine * self.accelerator.num_processes + mine * self.accelerator.process_index
        orders: dict[int, list[int]] = {}
        for at in range(start, start + mine):
            if at // count not in orders:
                generator = torch.Generator().manual_seed(self.config.seed + at // count)
                orders[at // count] = torch.randperm(count, generator=generator).tolist()
        return [orders[at // count][at % count] for at in range(start, start + mine)]

    def _reward_figures(self, scores: Scores) -> dict[str, float]:
        total = torch.tensor(scores.total, device=self.accelerator.device)
        ones = torch.ones_like(total)
        mean = masked_mean(total, ones, self._reduce)
        spread = masked_mean((total - mean) ** 2, ones, self._reduce).sqrt()
        figures = {"reward": float(mean), "reward_std": float(spread)}
        named = dict(scores.by_source) if len(scores.by_source) > 1 else {}
        for name, found in named.items():
            figures[f"rewards/{name}"] = float(masked_mean(total.new_tensor(found), ones, self._reduce))
        if scores.gold is not None:
            figures["gold_reward"] = float(masked_mean(total.new_tensor(scores.gold), ones, self._reduce))
        return figures

    def _served(self) -> ServedPolicy:
        folder = self.folder.path / "served"
        return ServedPolicy(self.policy, self.config, self.folder.path.name, folder, self.accelerator.is_main_process)

    def _count_steps(self) -> int:
        if not self.rows:
            raise DataError("reading the data", "there is no prompt to train on", "Give data.train at least one row")
        if self.config.max_steps > 0:
            return int(self.config.max_steps)
        episodes = self.config.episodes * self.accelerator.num_processes
        steps: int = math.ceil(self.config.num_train_epochs * len(self.rows) / episodes)
        return steps

    def _due(self, strategy: Any, value: float | None, last: bool = False) -> bool:
        if str(getattr(strategy, "value", strategy)) == "no":
            return False
        often = every(value, self.steps)
        return bool(often) and (self.done % often == 0 or (last and self.done == self.steps))

    def _reduce(self, values: Tensor) -> Tensor:
        reduced: Tensor = self.accelerator.reduce(values, reduction="sum")
        return reduced

    def _anywhere(self, flag: bool) -> bool:
        return bool(self._reduce(torch.tensor(float(flag), device=self.accelerator.device)))


def make_accelerator(config: PPOConfig) -> Any:
    """accelerate's, as the configuration and `accelerate launch` say."""
    from accelerate import Accelerator  # type: ignore[import-untyped]

    precision = "bf16" if config.bf16 else "fp16" if config.fp16 else "no"
    with contextlib.suppress(AttributeError):
        config.distributed_state  # noqa: B018  # transformers sets the process group up here, where there are several
    accelerator = Accelerator(
        cpu=config.use_cpu,
        mixed_precision=precision,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
    )
    kind = str(accelerator.distributed_type.value)
    if kind in ("FSDP", "DEEPSPEED"):
        # Both would step inside `backward` or shard what a checkpoint holds by name.
        cause = f"PPO keeps whole weights in every process, and accelerate is configured for {kind}"
        raise RecipeError("starting accelerate", cause, "Launch it with several processes, without FSDP or DeepSpeed")
    return accelerator
