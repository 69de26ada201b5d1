"""What a run does while it trains, whatever trains it: metrics and sample generations go to the run's folder, a signal
ends it after a checkpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from alignment.overoptimisation import Alarm, OveroptimisationMonitor, points_of
from decoder.runs.metric_series import read_lines

if TYPE_CHECKING:
    from decoder.runs.folder import RunFolder


class MetricsToFolder(TrainerCallback):
    """Appends whatever a trainer logs to metrics.jsonl, and says there when gold and proxy reward part."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.monitor = OveroptimisationMonitor()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Notes the number of steps, for whoever watches; the monitor sees what came before a resumption."""
        if state.is_world_process_zero:
            self.folder.note(max_steps=int(state.max_steps))
            for point in points_of(read_lines(self.folder.metrics_file)):
                self.monitor.add(point.step, point.proxy, point.gold, point.kl)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """One line a log of the main process."""
        if state.is_world_process_zero and logs:
            step = int(state.global_step)
            alarm = self._alarm(step, logs)
            self.folder.log(step, logs | {"overoptimisation_alarm": str(alarm)} if alarm else logs)

    def _alarm(self, step: int, logs: dict[str, Any]) -> Alarm | None:
        for point in points_of([{"step": step, **logs}]):
            return self.monitor.add(point.step, point.proxy, point.gold, point.kl)
        return None


class NoteAtStart(TrainerCallback):
    """Adds to run.json what only the stage knows, when training begins."""

    def __init__(self, folder: RunFolder, **values: Any) -> None:
        self.folder, self.values = folder, values

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The main process only."""
        if state.is_world_process_zero:
            self.folder.note(**self.values)


class SignalStop(TrainerCallback):
    """After a signal, writes a checkpoint at the end of the step and ends the run.

    Attributes:
        stopped: that it did so; false when the signal came in the last step, after which nothing is left to do.
    """

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Asks the trainer for both."""
        if _any_process(self.asked.is_set(), args) and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True


class SamplesToFolder(TrainerCallback):
    """At every `every`-th evaluation, writes what the model says to a few fixed prompts to samples.jsonl.

    Greedy, so that nothing is drawn from the generators that training draws from. Prompts are texts as the model reads
    them, with the chat template applied.
    """

    def __init__(self, folder: RunFolder, tokenizer: Any, prompts: Sequence[str], every: int = 1) -> None:
        self.folder, self.tokenizer, self.prompts, self.every = folder, tokenizer, tuple(prompts), every
        self.evaluations = 0
        self.last = -1

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """One line a prompt."""
        self.evaluations += 1
        if self.evaluations % self.every == 0:
            self.write(model, state)

    def write(self, model: Any, state: Any) -> None:
        """Ask for all prompts in one batch; the main process only, once a step."""
        if state.is_world_process_zero and self.prompts and self.last != state.global_step:
            self.last = int(state.global_step)
            for prompt, response in zip(self.prompts, generate(model, self.tokenizer, self.prompts), strict=True):
                self.folder.sample(self.last, prompt, response)


def generate(model: Any, tokenizer: Any, prompts: Sequence[str], max_new_tokens: int = 48) -> list[str]:
    """Greedy continuations of texts that already have their template, special tokens left out.

    Of a prompt that leaves no room among the model's positions the end is read.
    """
    import torch

    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    try:
        batch = tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False)
    finally:
        tokenizer.padding_side = side
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    room = max(positions - max_new_tokens, 1) if positions else batch["input_ids"].shape[1]
    batch = {name: batch[name][:, -room:] for name in ("input_ids", "attention_mask")}
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            written = model.generate(
                input_ids=batch["input_ids"].to(model.device),
                attention_mask=batch["attention_mask"].to(model.device),
                do_sample=False,
                use_cache=True,
                temperature=None,
                top_p=None,
                top_k=None,
                max_new_tokens=max_new_tokens,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
    finally:
        model.train(training)
    texts: list[str] = tokenizer.batch_decode(written[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return texts


def _any_process(asked: bool, args: Any) -> bool:
    """Whether any process was asked to stop; all must answer alike, or one would wait for the others for ever."""
    if args.world_size < 2:
        return asked
    import torch

    flag = torch.tensor(int(asked), device=args.device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag.item())
