"""Numbers with units, exact where they can be: rationals until a root or a sine makes a float of them.

Nothing grows without bound: an exact number has at most MOST_BITS above and below its line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from agents.builtin.units import UNITS, Dimensions, Unit

Number = Fraction | float
MOST_BITS = 14_000
MOST_EXPONENT = 6
PLAIN_DIGITS = 30


class CalculatorError(ValueError):
    """What cannot be calculated, and why."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """`value` times `units`, each to its power.

    Attributes:
        scale: the value is a point on this scale of temperature, not a difference.
        percent: it was written with %, so that adding it means adding so much of the other side.
    """

    value: Number
    units: Mapping[Unit, int] = field(default_factory=dict)
    scale: Unit | None = None
    percent: bool = False

    @property
    def dimensions(self) -> Dimensions:
        """What it measures."""
        total: dict[str, int] = {}
        for unit, power in self.units.items():
            for name, exponent in unit.dimensions:
                total[name] = total.get(name, 0) + exponent * power
        return tuple(sorted((name, exponent) for name, exponent in total.items() if exponent))

    @property
    def base(self) -> Number:
        """The value in base units."""
        value = self.value
        for unit, power in self.units.items():
            value = bounded(value * unit.factor**power)
        return value + self.scale.zero if self.scale else value


def bounded(value: Number) -> Number:
    """The value, unless it is too large or no number. Raises CalculatorError."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CalculatorError("the result is too large, or no number")
    elif max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise CalculatorError("a number has too many digits")
    return value


def plain(quantity: Quantity) -> Number:
    """The value of something without a unit. Raises CalculatorError."""
    if quantity.units or quantity.scale:
        raise CalculatorError(f"a plain number is wanted, not {unit_text(quantity)}")
    return quantity.value


def whole(quantity: Quantity) -> int:
    """The value of a whole number. Raises CalculatorError."""
    value = plain(quantity)
    if value != int(value):
        raise CalculatorError("a whole number is wanted")
    return int(value)


def with_unit(quantity: Quantity, unit: Unit, power: int = 1) -> Quantity:
    """A number of this unit; a temperature in degrees is a point of its scale."""
    if unit.zero:
        if quantity.units or quantity.scale or power != 1:
            raise CalculatorError(f"{unit.name} stands after a plain number")
        return Quantity(quantity.value, {unit: 1}, scale=unit)
    return times(quantity, Quantity(Fraction(1), {unit: power}))


def negated(quantity: Quantity) -> Quantity:
    """With the other sign; of -5 °C the 5 is."""
    return replace(quantity, value=-quantity.value)


def added(left: Quantity, right: Quantity, sign: int = 1) -> Quantity:
    """The sum, or the difference for sign -1, in the units of the left. Raises CalculatorError."""
    if right.percent and not left.percent:
        share = times(_no_point(left), Quantity(right.value * sign))
        return added(left, share)
    if left.scale and right.scale:
        if sign > 0:
            raise CalculatorError("two temperatures cannot be added; add a difference in K")
        return Quantity(bounded(left.base - right.base), {UNITS["K"]: 1})
    if right.scale:
        raise CalculatorError("a temperature stands first: 20 °C - 5 K")
    other = _in_units(right, left)
    return replace(left, value=bounded(left.value + sign * other), percent=left.percent and right.percent)


def _no_point(quantity: Quantity) -> Quantity:
    if quantity.scale:
        raise CalculatorError("a temperature in degrees can only be converted, compared, or changed by K")
    return quantity


def _in_units(quantity: Quantity, like: Quantity) -> Number:
    """The value of one in the units of another."""
    if quantity.dimensions != like.dimensions:
        raise CalculatorError(f"{unit_text(quantity)} and {unit_text(like)} do not go together")
    factor = Quantity(Fraction(1), like.units).base
    return bounded(quantity.base / factor)


def times(left: Quantity, right: Quantity) -> Quantity:
    """The product. Units of one dimension are joined into the left one's; what measures nothing is a number."""
    _no_point(left), _no_point(right)
    value, units = bounded(left.value * right.value), dict(left.units)
    for unit, power in right.units.items():
        same = next((known for known in units if known.dimensions == unit.dimensions), unit)
        value = bounded(value * (unit.factor / same.factor) ** power)
        units[same] = units.get(same, 0) + power
    if any(abs(power) > MOST_EXPONENT for power in units.values()):
        raise CalculatorError("a unit has too high a power")
    made = Quantity(value, {unit: power for unit, power in units.items() if power})
    return made if made.dimensions else Quantity(made.base)


def divided(left: Quantity, right: Quantity) -> Quantity:
    """The quotient. Raises CalculatorError for a division by zero."""
    if right.value == 0:
        raise CalculatorError("division by zero")
    inverse = Fraction(1) / right.value if isinstance(right.value, Fraction) else 1 / right.value
    return times(left, Quantity(inverse, {unit: -n for unit, n in _no_point(right).units.items()}))


def power(base: Quantity, exponent: Quantity) -> Quantity:
    """`base` to the power of a plain number; refused before it is calculated where it would be too large."""
    by = plain(exponent)
    _no_point(base)
    if base.units:
        count = whole(exponent)
        if abs(count) > MOST_EXPONENT:
            raise CalculatorError("a unit has too high a power")
        return Quantity(number_power(base.value, Fraction(count)), {unit: n * count for unit, n in base.units.items()})
    return Quantity(number_power(base.value, by))


def number_power(base: Number, exponent: Number) -> Number:
    """Exact for whole exponents, else a float."""
    if base == 0 and exponent < 0:
        raise CalculatorError("division by zero")
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if base not in (0, 1, -1) and (bits - 1) * abs(exponent.numerator) > MOST_BITS:
            raise CalculatorError("the power is too large")
        if base in (0, 1, -1):
            return base ** (exponent.numerator % 2 + 2 * (exponent != 0))
        return bounded(Fraction(base**exponent.numerator))
    if base < 0 and exponent != int(exponent):
        raise CalculatorError("a root of a negative number")
    try:
        return bounded(float(base) ** float(exponent))
    except OverflowError:
        raise CalculatorError("the power is too large") from None


def converted(quantity: Quantity, target: Quantity) -> Quantity:
    """In the units of `target`, whose value is 1. Raises CalculatorError."""
    if quantity.dimensions != target.dimensions:
        raise CalculatorError(f"{unit_text(quantity)} cannot be converted to {unit_text(target)}")
    if target.scale or quantity.scale:
        unit = target.scale or next(iter(target.units))
        return Quantity(
            bounded((quantity.base - unit.zero) / unit.factor), {unit: 1}, scale=unit if unit.zero else None
        )
    return Quantity(_in_units(quantity, target), target.units)


def unit_text(quantity: Quantity) -> str:
    """Its units, as km/h; "a number" where there is none."""

    def one(unit: Unit, power: int) -> str:
        return unit.name if power == 1 else f"{unit.name}^{power}"

    above = "·".join(one(unit, power) for unit, power in quantity.units.items() if power > 0)
    below = "·".join(one(unit, -power) for unit, power in quantity.units.items() if power < 0)
    return f"{above or '1'}/{below}" if below else above or "a number"


def number_text(value: Number) -> str:
    """A whole number or a finite decimal as it is; another fraction as such and about; a float to 15 digits."""
    if isinstance(value, float):
        return f"{value:.15g}"
    if value.denominator == 1:
        return str(value.numerator)
    rest, digits = value.denominator, 0
    while rest % 10 == 0 or rest % 2 == 0 or rest % 5 == 0:
        rest //= 10 if rest % 10 == 0 else 2 if rest % 2 == 0 else 5
        digits += 1
        if digits > PLAIN_DIGITS:
            break
    if rest == 1:
        text = str(abs(value.numerator) * 10**digits // value.denominator).rjust(digits + 1, "0")
        return f"{'-' if value < 0 else ''}{text[:-digits]}.{text[-digits:]}"
    try:
        about = f"{float(value):.15g}"
    except OverflowError:
        about = "too large for a decimal"
    return f"{value.numerator}/{value.denominator} (about {about})"


def text_of(quantity: Quantity) -> str:
    """As a reader would write it."""
    number = number_text(quantity.value)
    return f"{number} {unit_text(quantity)}" if quantity.units else number
