"""A PPO run's figures and samples: into its folder, and to the trackers that transformers knows (TensorBoard, …)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alignment.ppo_config import PPOConfig
from alignment.ppo_rollout import Rollout
from alignment.ppo_scores import Scores
from decoder.runs.folder import RunFolder


class Reporter:
    """transformers' callbacks around a loop of our own; only the main process writes."""

    def __init__(
        self, config: PPOConfig, folder: RunFolder, model: Any, tokenizer: Any, main: bool, steps: int
    ) -> None:
        from transformers import DefaultFlowCallback, TrainerControl, TrainerState
        from transformers.integrations.integration_utils import get_reporting_integration_callbacks
        from transformers.trainer_callback import CallbackHandler

        from alignment.callbacks import MetricsToFolder

        self.config, self.folder, self.tokenizer, self.main = config, folder, tokenizer, main
        found: Any = get_reporting_integration_callbacks
        trackers = [callback() for callback in found(config.report_to)]
        # CallbackHandler warns without DefaultFlowCallback, whose hooks this loop does not call.
        callbacks = [DefaultFlowCallback(), MetricsToFolder(folder), *trackers]
        handler: Any = CallbackHandler
        self.handler = handler(callbacks, model, tokenizer, None, None)
        self.state = TrainerState(is_world_process_zero=main, is_local_process_zero=main, max_steps=steps)
        self.control = TrainerControl()

    def begin(self, step: int) -> None:
        """Before the first step."""
        self.state.global_step = step
        self.handler.on_train_begin(self.config, self.state, self.control)

    def end(self) -> None:
        """After the last step, however the run ended."""
        self.handler.on_train_end(self.config, self.state, self.control)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """One line of metrics.jsonl, and the same to every tracker."""
        self.state.global_step = step
        self.state.epoch = figures.get("epoch", 0.0)
        self.handler.on_log(self.config, self.state, self.control, dict(figures))

    def samples(self, step: int, rollout: Rollout, texts: list[str], scores: Scores) -> None:
        """The first episodes of a step, into samples.jsonl."""
        if not self.main:
            return
        for at in range(min(self.config.num_sample_generations, len(texts))):
            prompt = rollout.prompt_ids[at][rollout.prompt_mask[at].bool()].tolist()
            figures = {"reward": scores.total[at], "tokens": int(rollout.live[at].sum())}
            if scores.gold is not None:
                figures["gold_reward"] = scores.gold[at]
            self.folder.sample(step, str(self.tokenizer.decode(prompt)), texts[at], **figures)
