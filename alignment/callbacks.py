"""What a run does while it trains, whatever trains it: metrics go to the run's folder, a loss that is no number ends
it, a signal ends it after a checkpoint.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from alignment.errors import Diverged

if TYPE_CHECKING:
    from alignment.run_folder import RunFolder


class MetricsToFolder(TrainerCallback):
    """Appends whatever a trainer logs to metrics.jsonl."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """One line a log of the main process."""
        if state.is_world_process_zero and logs:
            self.folder.log(int(state.global_step), logs)


class StopOnNan(TrainerCallback):
    """Ends the run when a logged loss is no number."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Raises Diverged."""
        loss = (logs or {}).get("loss")
        if isinstance(loss, float) and not math.isfinite(loss):
            remedy = "Lower training.learning_rate, or look at the rows of that step"
            raise Diverged("training", f"the loss at step {state.global_step} is {loss}", remedy)


class SignalStop(TrainerCallback):
    """After a signal, writes a checkpoint at the end of the step and ends the run."""

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Asks the trainer for both."""
        if self.asked.is_set():
            control.should_save = control.should_training_stop = True


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, in place of what they do; in other threads than the main, never."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
