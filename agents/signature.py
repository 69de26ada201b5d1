"""Makes a tool of a typed function: its name, what its docstring says, a JSON schema, and a validator of arguments.

`hints.py` reads the parameters, `docstrings.py` their descriptions, `arguments.py` makes a pydantic model of both,
`schemas.py` its schema.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_args

from agents.arguments import arguments_model, no_schema, validator
from agents.docstrings import read_docstring
from agents.errors import ToolError
from agents.hints import REQUIRED, Parameter, docstring_of, name_of, parameters_of
from agents.running import Running, running
from agents.schemas import arguments_schema, is_open
from agents.tool import Function, Tool


def read_signature(function: Function, **options: Any) -> Tool:
    """A tool of this function.

    A parameter typed `Running` is not in the schema: it receives the call that is being carried out.

    Args:
        options: fields of `Tool` that are not to be read from the function.

    Raises:
        SchemaError: a parameter has no hint, one that has no JSON schema, or cannot be given by keyword.
        ToolError: an option is wrong.
        MissingExtra: pydantic or docstring-parser is not installed.
    """
    from pydantic import PydanticUserError

    name = name_of(function)
    every = parameters_of(function)
    contexts = [each for each in every if _is_running(each.hint)]
    parameters = [each for each in every if each not in contexts]
    described = read_docstring(docstring_of(function))
    model = arguments_model(name, parameters, described.parameters)
    try:
        schema = arguments_schema(model)
    except (PydanticUserError, TypeError) as error:
        raise no_schema(name, error) from error
    read: dict[str, Any] = {
        "name": name,
        "description": described.text,
        "parameters": schema,
        "run": _with_running(function, contexts) if contexts else function,
        "validate": validator(model, parameters, closed=not is_open(schema)),
    }
    return Tool(**{**read, **options})


def _is_running(hint: Any) -> bool:
    return hint is Running or Running in get_args(hint)


def _with_running(function: Function, contexts: Sequence[Parameter]) -> Callable[..., Any]:
    """The function with its call's context filled in. Outside of a run it is the default, or a ToolError."""

    def context() -> dict[str, Any]:
        return {each.name: _running_or_default(function, each) for each in contexts}

    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):

        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **{**context(), **kwargs})
    else:

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **{**context(), **kwargs})

    return run


def _running_or_default(function: Function, parameter: Parameter) -> Any:
    now = running()
    if now is not None:
        return now
    if parameter.default is not REQUIRED:
        return parameter.default
    if type(None) in get_args(parameter.hint):
        return None
    cause = f"{name_of(function)} asks for the running call, and there is none"
    raise ToolError("calling a tool", cause, f"Call it in a run, or give `{parameter.name}` a default")
