"""What the parameters of a callable are: names, types and defaults, whatever kind of callable it is."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from agents.errors import SchemaError

STEP = "reading a tool's signature"
REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `default` is REQUIRED where there is none."""

    name: str
    hint: Any
    default: Any


def name_of(function: Callable[..., Any]) -> str:
    """The function's name, or that of the class of a callable object."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def docstring_of(function: Callable[..., Any]) -> str | None:
    """The docstring; of a callable object that of its `__call__`, else that of its class."""
    if isinstance(function, functools.partial):
        return docstring_of(function.func)
    if inspect.isroutine(function):
        return inspect.getdoc(function)
    return type(function).__call__.__doc__ or inspect.getdoc(type(function))


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """What a caller can give. What a `functools.partial` or a bound method already holds is no parameter any more.

    A hint that allows no None, beside None as default, is read as optional.

    Raises SchemaError for what cannot be called by keyword, a missing hint, or one that cannot be resolved.
    """
    name = name_of(function)
    if inspect.isclass(function):
        raise SchemaError(STEP, f"{name} is a class", "Give a function that makes one, or an object with __call__")
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError) as error:
        raise SchemaError(STEP, f"{name} has no signature", "Wrap it in a typed function") from error
    _check_result(function, name)
    bound = function.keywords if isinstance(function, functools.partial) else {}
    open_parameters = [each for key, each in signature.parameters.items() if key not in bound]
    for each in open_parameters:
        _check_kind(name, each)
    hints = _hints(_plain(function), name) if open_parameters else {}
    return tuple(_parameter(name, each, hints) for each in open_parameters)


def _parameter(function: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Parameter:
    if parameter.name not in hints:
        example = f"{parameter.name}: str" if parameter.default is REQUIRED else f"{parameter.name}: int = …"
        raise SchemaError(STEP, f"{function}: the parameter {parameter.name} has no type", f"Write it as `{example}`")
    hint = hints[parameter.name]
    if parameter.default is None and not allows_none(hint):
        hint = hint | None if isinstance(hint, type) else typing.Optional[hint]  # noqa: UP045  # any hint
    return Parameter(parameter.name, hint, parameter.default)


def allows_none(hint: Any) -> bool:
    """Whether a hint is None, or a union with it, or anything at all."""
    if hint is None or hint is type(None) or hint is Any or hint is object:
        return True
    if get_origin(hint) is typing.Annotated:
        return allows_none(get_args(hint)[0])
    if get_origin(hint) is typing.Literal:
        return None in get_args(hint)
    return get_origin(hint) in (typing.Union, types.UnionType) and any(allows_none(each) for each in get_args(hint))


def _check_kind(function: str, parameter: inspect.Parameter) -> None:
    match parameter.kind:
        case inspect.Parameter.VAR_POSITIONAL:
            remedy = f"Take a list instead: `{parameter.name}: list[str]`"
        case inspect.Parameter.VAR_KEYWORD:
            remedy = f"Name each parameter, or take a mapping: `{parameter.name}: dict[str, str]`"
        case inspect.Parameter.POSITIONAL_ONLY:
            remedy = "Take the / out of the signature: tools are called by keyword"
        case _:
            return
    cause = f"{function}: the parameter {parameter} is {parameter.kind.description}, which has no JSON schema"
    raise SchemaError(STEP, cause, remedy)


def _check_result(function: Callable[..., Any], name: str) -> None:
    plain = _plain(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise SchemaError(STEP, f"{name} is a generator, whose result is not yet there", "Return a list")


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that carries the hints."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    plain: Callable[..., Any] = inspect.unwrap(function)
    return plain


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    function = getattr(function, "__func__", function)
    scopes = _scopes(function)
    local: dict[str, Any] = {}
    while True:
        try:
            return typing.get_type_hints(function, localns=local or None, include_extras=True)
        except NameError as error:
            missing = error.name or ""
            found = next((scope for scope in scopes if missing in scope), None)
            if found is None or missing in local:
                remedy = "Import it where the tool is made, and not for type checking alone"
                raise SchemaError(STEP, f"{name}: the type {missing!r} is not known", remedy) from error
            local[missing] = found[missing]
        except (TypeError, SyntaxError, AttributeError) as error:
            raise SchemaError(STEP, f"{name}: a hint cannot be read ({error})", "Mend the hint") from error


def _scopes(function: Callable[..., Any]) -> tuple[Mapping[str, Any], ...]:
    """Where a local name of a hint may stand: what the function closes over, then the functions it is made in."""
    return tuple(_all_scopes(function))


def _all_scopes(function: Callable[..., Any]) -> Iterator[Mapping[str, Any]]:
    closed = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    yield closed
    home, frame = getattr(function, "__globals__", None), sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        if frame.f_globals is home and frame.f_locals is not home:
            yield dict(frame.f_locals)
