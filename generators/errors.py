"""What can go wrong in the darkroom: the leaves of the error tree that live in this room.

UsageError
├── RecipeError            decoder.errors
└── GeneratorError
    ├── ImageError         a picture that cannot be read, is too large, or is not what it says it is; names the file
    ├── DataError          pictures, captions or pairs that cannot be trained on as a whole
    ├── ModelError         a saved model that cannot be loaded, or is not of the family that is asked for
    ├── FeaturesMissing    Inception's features are asked for, and torch_fidelity or its weights are not there
    ├── SchedulerError     settings of a noise schedule that contradict each other
    └── PipelineRefused    a pipeline folder with pickled weights, custom code or no pinned revision
ServiceError
├── TrainingError          decoder.errors, with Diverged, CheckpointFailed and Stopped
└── Cancelled              a picture's making was cancelled
"""

from __future__ import annotations

from decoder.errors import ServiceError, UsageError


class GeneratorError(UsageError):
    """What was asked of the darkroom cannot be done as asked."""


class ImageError(GeneratorError):
    """A picture cannot be used; the message names its file."""


class DataError(GeneratorError):
    """Pictures, captions or pairs cannot be trained on."""


class ModelError(GeneratorError):
    """A saved model cannot be loaded, or does not fit what is asked of it."""


class FeaturesMissing(GeneratorError):
    """A network whose features are asked for is not there."""


class SchedulerError(GeneratorError):
    """Settings of a noise schedule contradict each other; sampling would silently give worse pictures."""


class PipelineRefused(GeneratorError):
    """A pipeline's folder or name is not safe to load."""


class Cancelled(ServiceError):
    """The making of a picture was cancelled."""
