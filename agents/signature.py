"""Reads a typed function: the JSON schema of its parameters, their descriptions, and a validator of arguments."""

from __future__ import annotations

from agents.tool import Function, Tool


def read_signature(function: Function) -> Tool:
    """A tool of this function, with its name, docstring and schema. Raises SchemaError."""
    raise NotImplementedError
