"""What can go wrong with a prompt: the leaves of the error tree that live in this room.

UsageError
└── PromptError
    ├── PromptNotFound      no folder holds a prompt of this name
    ├── MalformedPrompt     a file or a template that cannot be used; says the line
    ├── TechniqueError      a technique that does not fit the prompt or the examples
    ├── InteropError        a template of another library that has no safe equal here
    └── RenderError
        ├── MissingValue    a variable without a default got no value
        ├── UnknownValue    a value for a variable that the prompt does not have
        ├── WrongType       a value of another type than the variable's
        └── TooMuchText     the rendering passed its bounds
ServiceError
└── OutputError             what the model wrote is not what the schema asks for
    ├── OutputTruncated     max_tokens ended it
    └── OutputMalformed     nor was it after one repair
"""

from __future__ import annotations

from decoder.errors import ServiceError, UsageError


class PromptError(UsageError):
    """A prompt cannot be used as asked."""


class PromptNotFound(PromptError, KeyError):
    """No folder holds a prompt of this name; a KeyError too, because the library is a mapping."""


class MalformedPrompt(PromptError):
    """A prompt's file or template cannot be used.

    Attributes:
        source: the file or the prompt's name.
        line: where in the file, from 1.
        reason: what is wrong there.
    """

    def __init__(self, source: str, line: int, reason: str, remedy: str = "") -> None:
        self.source, self.line, self.reason = source, line, reason
        super().__init__("reading a prompt", f"{source}, line {line}: {reason}", remedy)

    def __reduce__(self) -> tuple[type[MalformedPrompt], tuple[str, int, str, str]]:
        return type(self), (self.source, self.line, self.reason, self.remedy)


class TechniqueError(PromptError):
    """A technique does not fit this prompt or these examples."""


class InteropError(PromptError):
    """A template of another library has no safe equal here."""


class RenderError(PromptError):
    """The values do not fit the prompt's variables."""


class MissingValue(RenderError):
    """A variable without a default got no value."""


class UnknownValue(RenderError):
    """A value was given for a variable that the prompt does not have."""


class WrongType(RenderError):
    """A value is of another type than its variable."""


class TooMuchText(RenderError):
    """The rendering passed its bounds of length or of steps."""


class OutputError(ServiceError):
    """What the model wrote is not what the schema asks for.

    Attributes:
        text: what it wrote, the last time it was asked.
    """

    def __init__(self, step: str, cause: str, remedy: str = "", text: str = "") -> None:
        super().__init__(step, cause, remedy)
        self.text = text

    def __reduce__(self) -> tuple[type[OutputError], tuple[str, str, str, str]]:
        return type(self), (self.step, self.cause, self.remedy, self.text)


class OutputTruncated(OutputError):
    """max_tokens ended the output before it was whole."""


class OutputMalformed(OutputError):
    """The output does not satisfy the schema, nor did it after one repair."""
