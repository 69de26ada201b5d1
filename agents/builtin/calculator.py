"""A calculator for the decoder, which is bad at sums: exact, with units, and bounded whatever it is asked."""

from __future__ import annotations

from typing import Annotated, Any

from agents.tool import Tool


def calculator(**options: Any) -> Tool:
    """The tool `calculator`. Its results are its own, so they do not taint. `options` are fields of `Tool`."""
    from pydantic import Field

    from agents.signature import read_signature

    def calculator(expression: Annotated[str, Field(max_length=1000)]) -> str:
        """Calculate an arithmetic expression exactly.

        Operators + - * / // ^ !, % as percent (200 + 10% is 220, 15% of 80 is 12; use mod(7, 3) for a remainder),
        parentheses, pi, e, and functions such as sqrt, round(x, digits), min, max, mean, ln, log10, sin (radians).
        Units: 3 km / 20 min in km/h; 5 ft 3 inch in cm; 20 °C in °F; $80 - 15%. There are no exchange rates.

        Args:
            expression: what to calculate.
        """
        return answer(expression)

    return read_signature(
        calculator, **{"effect": "read", "trusted": True, "idempotent": True, "timeout": 5.0, **options}
    )


def answer(expression: str) -> str:
    """The result as text. Raises CalculatorError."""
    from agents.builtin.expressions import calculate
    from agents.builtin.quantities import text_of

    return text_of(calculate(expression))
