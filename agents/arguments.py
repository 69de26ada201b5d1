"""A pydantic model of a tool's parameters, and the validator that reads generated arguments with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from agents.errors import SchemaError
from agents.hints import REQUIRED, STEP, Parameter
from decoder.errors import MissingExtra

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Validate = Callable[[Mapping[str, Any]], Mapping[str, Any]]
MOST_ERRORS = 4
LONGEST_INPUT = 40


def arguments_model(function: str, parameters: Sequence[Parameter], described: Mapping[str, str]) -> type[BaseModel]:
    """A model with one field for each parameter, called p0, p1, …, so that no name collides with pydantic's own.

    The fields' aliases are the names that the decoder writes: the parameter's, or the alias of its `Field`.

    Raises SchemaError when a type has no JSON schema, MissingExtra without pydantic.
    """
    try:
        from pydantic import ConfigDict, PydanticUserError, create_model
    except ImportError as error:
        raise MissingExtra(STEP, "pydantic", "agents") from error
    fields: dict[str, Any] = {}
    for number, each in enumerate(parameters):
        default = ... if each.default is REQUIRED else each.default
        fields[f"p{number}"] = (_annotated(each, described.get(each.name)), default)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    try:
        return create_model("Arguments", __config__=config, **fields)
    except (PydanticUserError, TypeError, NameError) as error:
        raise no_schema(function, error) from error


def no_schema(function: str, error: Exception) -> SchemaError:
    """What pydantic says of a type that it cannot read, on one line."""
    line = str(error).strip().splitlines()[0].partition(". Set `arbitrary_types_allowed")[0]
    remedy = "Take JSON-like types: str, int, list, dataclasses, pydantic models, …"
    if "typing_extensions.TypedDict" in line:
        remedy = "Import TypedDict from typing_extensions"
    return SchemaError(STEP, f"{function}: {line.rstrip('.')}", remedy)


def _annotated(parameter: Parameter, description: str | None) -> Any:
    """The hint with its alias and its description: that of a `Field`, else of `Annotated[int, "text"]`, else the
    docstring's."""
    from pydantic import Field
    from pydantic.fields import FieldInfo

    from decoder.schema import readable

    extras = get_args(parameter.hint)[1:] if get_origin(parameter.hint) is Annotated else ()
    infos = [each for each in (*extras, parameter.default) if isinstance(each, FieldInfo)]
    texts = [each if isinstance(each, str) else getattr(each, "documentation", None) for each in extras]
    text = next((each for each in texts if isinstance(each, str)), description)
    about: dict[str, Any] = {}
    if not any(info.alias for info in infos):
        about["alias"] = parameter.name
    if text and not any(info.description for info in infos):
        about["description"] = text
    return Annotated[readable(parameter.hint), Field(**about)] if about else readable(parameter.hint)


def validator(model: type[BaseModel], parameters: Sequence[Parameter], closed: bool) -> Validate:
    """Reads arguments as JSON of the model: nothing is coerced that JSON can say itself, so "false" is no boolean.

    What is not given is filled in with the function's own defaults.

    Args:
        closed: unknown keys of nested objects are refused as well.
    """
    names = {field.alias or "": parameter.name for field, parameter in zip(_fields(model), parameters, strict=True)}
    if len(names) < len(parameters):
        raise SchemaError(STEP, "two parameters have the same alias", "Give each its own")

    def validate(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        read = _read(model, arguments, closed, list(names))
        return {each.name: _value(read, f"p{number}", each) for number, each in enumerate(parameters)}

    return validate


def json_validator(model: type[BaseModel], closed: bool) -> Validate:
    """As `validator`, for tools that read their arguments themselves: they stay JSON as it was given."""
    known = [field.alias or name for name, field in model.model_fields.items()]

    def validate(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        _read(model, arguments, closed, known)
        return dict(arguments)

    return validate


def _read(model: type[BaseModel], arguments: Mapping[str, Any], closed: bool, known: Sequence[str]) -> BaseModel:
    from pydantic import ValidationError

    try:
        text = json.dumps(arguments, allow_nan=False)
        return model.model_validate_json(text, strict=True, extra="forbid" if closed else None)
    except ValidationError as error:
        raise ValueError(told(error, known)) from None
    except (ValueError, TypeError, RecursionError):
        raise
    except Exception as error:  # a validator of the user's types may raise anything, and the decoder is to read it
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _fields(model: type[BaseModel]) -> list[Any]:
    return list(model.model_fields.values())


def _value(read: BaseModel, field: str, parameter: Parameter) -> Any:
    """A default is the function's own object, not a copy: it may be compared by identity."""
    from pydantic.fields import FieldInfo

    own = parameter.default is not REQUIRED and not isinstance(parameter.default, FieldInfo)
    return parameter.default if own and field not in read.model_fields_set else getattr(read, field)


def told(error: ValidationError, known: Sequence[str]) -> str:
    """The errors for a decoder: where, what, and what was given. No addresses, at most MOST_ERRORS."""
    errors = error.errors(include_url=False, include_context=False)
    lines = [_told(each, known) for each in errors[:MOST_ERRORS]]
    more = len(errors) - len(lines)
    return "; ".join([*lines, f"and {more} more"] if more else lines)


def _told(error: Mapping[str, Any], known: Sequence[str]) -> str:
    where = ".".join(str(step) for step in error["loc"])
    match error["type"]:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            return f"there is no {where}" + (f" (there are: {', '.join(known)})" if len(error["loc"]) == 1 else "")
        case "value_error" | "assertion_error":
            what = str(error["msg"]).partition(", ")[2]
        case _:
            what = str(error["msg"]).removeprefix("Input ")
    given = json.dumps(error["input"], ensure_ascii=False, default=str)
    shown = given if len(given) <= LONGEST_INPUT else f"{given[: LONGEST_INPUT - 1]}…"
    return f"{where} {what}, not {shown}" if what.startswith("should") else f"{where or 'arguments'}: {what}"
