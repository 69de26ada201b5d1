"""The roots of the error tree. Leaves live in their rooms, next to the code that raises them.

    HearthError
    ├── UsageError              what the user asked for cannot be done as asked        (exit code 2)
    │   ├── SettingsError       a setting is missing or malformed
    │   ├── prompts.errors.*    a prompt, or values for one, that cannot be used
    │   ├── rag.errors.*        a document, an index or a query that cannot be used
    │   ├── RecipeError         a recipe, or a key of one, that cannot be used; names the nearest known key
    │   └── MissingExtra        an optional dependency is not installed
    └── ServiceError            something that should have worked did not              (exit code 1)
        ├── TrainingError       a run that should have gone on did not
        │   ├── Diverged              a loss that is no number; names the step
        │   ├── CheckpointFailed      a checkpoint could not be written; the last good one stays
        │   └── Stopped               a signal ended the run after a checkpoint; go on with --resume
        └── DecoderError        the model at the centre
            ├── ConnectFailed         no server answered
            ├── DecoderTimeout        connect, first token or between tokens
            ├── ServerFailed          the server answered 5xx, or died
            ├── RateLimited           429 or 503, after the retry budget
            ├── RequestRefused        the server answered 4xx
            │   ├── UnknownModel
            │   ├── ContextOverflow
            │   └── ConstraintRefused
            ├── ConstraintIgnored     the output does not satisfy what was asked
            ├── MalformedResponse     bad JSON, wrong content type, broken event stream
            └── TruncatedStream       the stream ended before the model did

Each says the step that failed, the cause and the remedy, on one line.
"""

from __future__ import annotations


class HearthError(Exception):
    """An error with a step, a cause and a remedy.

    Args:
        step: what was being done, as in "reading settings".
        cause: what went wrong.
        remedy: what the reader can do about it; may be empty.
    """

    exit_code = 1

    def __init__(self, step: str, cause: str, remedy: str = "") -> None:
        self.step, self.cause, self.remedy = step, cause, remedy
        super().__init__(step, cause, remedy)

    def __str__(self) -> str:
        line = f"{self.step}: {self.cause}"
        return f"{line}. {self.remedy}" if self.remedy else line


class UsageError(HearthError):
    """What was asked for cannot be done as asked; the user can mend it."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is missing, unknown or malformed."""


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, step: str, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(step, f"{package} is not installed", f"pip install 'hearth[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        return type(self), (self.step, self.package, self.extra)


class RecipeError(UsageError):
    """A recipe, or a key of one, cannot be used."""


class ServiceError(HearthError):
    """Something that should have worked did not."""


class TrainingError(ServiceError):
    """A run that should have gone on did not."""


class Diverged(TrainingError):
    """The loss is no number.

    Attributes:
        rows: indices into the training set of the rows of that batch; empty when they cannot be told.
    """

    rows: tuple[int, ...] = ()


class CheckpointFailed(TrainingError):
    """A checkpoint could not be written; the last good one is whole."""


class Stopped(TrainingError):
    """A signal ended the run after a checkpoint was written."""


class DecoderError(ServiceError):
    """The decoder could not answer."""


class ConnectFailed(DecoderError):
    """No server answered at the address."""


class DecoderTimeout(DecoderError):
    """The wait for a connection, the first token or the next token ran out."""


class ServerFailed(DecoderError):
    """The server answered with a 5xx status, or its process died."""


class RateLimited(DecoderError):
    """The server kept answering 429 or 503 until the retry budget was spent.

    Attributes:
        retry_after: seconds that the server asked to wait, where it said so.
    """

    retry_after: float | None = None


class RequestRefused(DecoderError):
    """The server answered with a 4xx status."""


class UnknownModel(RequestRefused):
    """The server does not serve a model of this name."""


class ContextOverflow(RequestRefused):
    """Prompt and max_tokens together exceed the model's context."""


class ConstraintRefused(RequestRefused):
    """The constraint is malformed, or this decoder cannot enforce its kind."""


class ConstraintIgnored(DecoderError):
    """The decoder accepted a constraint and did not enforce it."""


class MalformedResponse(DecoderError):
    """The server's answer is not what the protocol promises."""


class TruncatedStream(DecoderError):
    """The stream ended before the model finished."""
