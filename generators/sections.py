"""The sections of a recipe, as data: one model of one family, on one set of pictures, within one budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class DataSection:
    """Which pictures.

    Attributes:
        source: `digits` (scikit-learn's, the default, which needs nothing), a folder of pictures (sub-folders are
            classes), `idx:IMAGES[,LABELS]` (as MNIST's, gzip or not; or `idx:FOLDER` that holds MNIST's files),
            `zip:FILE` or `hub:name[@revision][:config][:split]`.
        size: pictures are resized to size x size pixels.
        channels: 1 for grey, 3 for colour.
        background: what shows where a picture is transparent.
        captions: a CSV or JSONL file with the columns `file` and `caption`; or `classes` for captions made from the
            class names, or `paths` for captions made from the words of the paths.
        targets: a second domain for translation: another folder, or `outline` or `colour`, which are made from the
            pictures themselves.
        pairing: `paired`: each target belongs to the picture of its name; `unpaired`: two sets.
        binarise: every value becomes black or white, at one half.
        flip: also train on mirrored pictures.
        test_fraction: held out for evaluation by a seeded split; a split that the source has is kept.
        max_images: use so many, drawn by the seed; 0 means all.
        strict: stop at the first picture that cannot be used; otherwise it is skipped, counted and listed.
        seed: of the split.
    """

    source: str = "digits"
    size: int = 16
    channels: Literal[1, 3] = 1
    background: Literal["white", "black"] = "white"
    captions: str = ""
    targets: str = ""
    pairing: Literal["paired", "unpaired"] = "paired"
    binarise: bool = False
    flip: bool = False
    test_fraction: float = 0.221
    max_images: int = 0
    strict: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainingSection:
    """For how long, and how.

    Attributes:
        max_steps: updates; 0 means no limit. With it alone, a resumed run equals one never stopped, bit by bit.
        budget_seconds: CPU seconds of this process (on a GPU, wall seconds) spent in training steps; 0 means no limit.
            Evaluation, samples and checkpoints do not count.
        batch_size: pictures a micro-batch.
        gradient_accumulation: micro-batches an update.
        mixed_precision: as accelerate has it.
        learning_rate_schedule: over the run's progress, after `warmup_steps`.
        ema_decay: of the exponential moving average that samples are drawn from; 0 means none.
        max_grad_norm: gradients are clipped to it; 0 means not.
        checkpoint_seconds: wall seconds between checkpoints.
        sample_every: steps between sample grids; 0 means only at the end.
        evaluate_every: steps between evaluations, at which the alarms look, too; 0 means only at the end.
        early_stop: evaluations without a better bound after which a run ends, its best weights kept; 0: never. The
            bound is of a tenth of the training pictures, which are then not trained on; test pictures choose nothing.
        threads: of torch on a CPU; 0 means as many as there are.
    """

    max_steps: int = 0
    budget_seconds: float = 0.0
    batch_size: int = 64
    gradient_accumulation: int = 1
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    learning_rate_schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0
    ema_decay: float = 0.0
    max_grad_norm: float = 0.0
    checkpoint_seconds: float = 300.0
    sample_every: int = 0
    evaluate_every: int = 0
    early_stop: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class EvaluationSection:
    """How it is judged.

    Attributes:
        samples: pictures drawn at the end, and `watched` of them at each evaluation on the way.
        features: `judge`: a classifier trained on the data itself; `inception`: where its weights can be had.
        sampling: options of the family's `sample`, as in {steps: 50, guidance_scale: 2}.
        seed: of the samples.
    """

    samples: int = 397
    watched: int = 200
    features: Literal["judge", "inception"] = "judge"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class AlarmSection:
    """Which alarms ring, and after how long.

    Attributes:
        collapse, posterior_collapse, memorisation, overfitting: whether each is watched.
        warmup: the share of the run before which no collapse is told.
        stop: end the run at the first alarm.
    """

    collapse: bool = True
    posterior_collapse: bool = True
    memorisation: bool = True
    overfitting: bool = True
    warmup: float = 0.25
    stop: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model, wholly described.

    Attributes:
        family: one of `generators.families.FAMILIES`.
        name: of the run; letters, digits, `-`, `_` and `.`.
        output: the run's folder; empty means `runs/<name>`, or where the settings' `runs` says.
        seed: of initialisation, order and noise.
        model: keys of the family's own configuration, checked by name.
        tracking: of "tensorboard", "wandb", "mlflow".
    """

    family: str
    name: str
    output: str = ""
    seed: int = 0
    data: DataSection = field(default_factory=DataSection)
    model: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingSection = field(default_factory=TrainingSection)
    evaluation: EvaluationSection = field(default_factory=EvaluationSection)
    alarms: AlarmSection = field(default_factory=AlarmSection)
    tracking: tuple[str, ...] = ()
