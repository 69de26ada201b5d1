"""What can go wrong while the decoder is taught: the leaves of the error tree that live in this room.

UsageError
├── RecipeError            decoder.errors
└── AlignmentError
    ├── DataError          data that cannot be trained on; says the row, the field and the reason
    ├── MaskError          what would be trained is not what was meant: no end of turn, no live label, no markers
    ├── ModelError         a model or tokenizer that does not fit the stage
    │   └── WrongBase      an adapter of another base model
    ├── RegistryError      no such artefact, or one that cannot be served
    ├── FeedbackError      feedback that cannot be kept or exported as asked
    └── GateRefused        the candidate did not pass the evaluation gate
ServiceError
└── TrainingError          decoder.errors, with Diverged, CheckpointFailed and Stopped
"""

from __future__ import annotations

from decoder.errors import UsageError


class AlignmentError(UsageError):
    """What was asked of a stage cannot be done as asked."""


class DataError(AlignmentError):
    """Data that cannot be trained on.

    Attributes:
        row: the row's index from 0, or None when the whole is meant.
        field: the field's name; may be empty.
    """

    row: int | None = None
    field: str = ""


class MaskError(AlignmentError):
    """What would be trained is not what was meant."""


class ModelError(AlignmentError):
    """A model or a tokenizer does not fit the stage."""


class WrongBase(ModelError):
    """An adapter belongs to another base model."""


class RegistryError(AlignmentError):
    """There is no such artefact, or it cannot be served."""


class FeedbackError(AlignmentError):
    """Feedback cannot be kept or exported as asked."""


class GateRefused(AlignmentError):
    """The candidate did not pass the evaluation gate."""
