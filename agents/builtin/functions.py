"""The calculator's functions and constants, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from agents.builtin.quantities import (
    CalculatorError,
    Number,
    Quantity,
    added,
    bounded,
    divided,
    negated,
    number_power,
    plain,
    whole,
)

Function = Callable[[Sequence[Quantity]], Quantity]
MOST_FACTORIAL = 1500
CONSTANTS: Mapping[str, float] = {"pi": math.pi, "π": math.pi, "e": math.e, "tau": math.tau}


def call(name: str, arguments: Sequence[Quantity]) -> Quantity:
    """Call a function. Raises CalculatorError for a name or arguments that it does not have."""
    function = FUNCTIONS.get(name.lower())
    if function is None:
        raise CalculatorError(f"there is no function {name[:30]}; there are {', '.join(sorted(FUNCTIONS))}")
    least, most, does = function
    if not least <= len(arguments) <= most:
        raise CalculatorError(f"{name} takes {least if least == most else f'{least} or more'} arguments")
    try:
        return does(arguments)
    except CalculatorError:
        raise
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        raise CalculatorError(f"{name} has no value there") from error


def _real(does: Callable[..., float]) -> Function:
    return lambda arguments: Quantity(bounded(does(*(float(plain(each)) for each in arguments))))


def _whole(does: Callable[..., int]) -> Function:
    return lambda arguments: Quantity(bounded(Fraction(does(*(whole(each) for each in arguments)))))


def _keeping(does: Callable[[Number], Number]) -> Function:
    """Of the value, whatever its unit."""
    return lambda arguments: Quantity(bounded(does(arguments[0].value)), arguments[0].units, arguments[0].scale)


def _sqrt(arguments: Sequence[Quantity]) -> Quantity:
    value = plain(arguments[0])
    if value < 0:
        raise CalculatorError("a root of a negative number")
    if isinstance(value, Fraction):
        above, below = math.isqrt(value.numerator), math.isqrt(value.denominator)
        if above**2 == value.numerator and below**2 == value.denominator:
            return Quantity(Fraction(above, below))
    return Quantity(number_power(value, 0.5))


def _round(arguments: Sequence[Quantity]) -> Quantity:
    """Half away from zero, as on paper."""
    first, digits = arguments[0], whole(arguments[1]) if len(arguments) > 1 else 0
    if abs(digits) > 1000:
        raise CalculatorError("too many digits")
    unit = Fraction(10) ** -digits
    steps = Fraction(first.value) / unit
    value = (math.floor(abs(steps) + Fraction(1, 2))) * (1 if steps >= 0 else -1) * unit
    return Quantity(bounded(value), first.units, first.scale)


def _log(arguments: Sequence[Quantity]) -> Quantity:
    values = [_logarithm(plain(each)) for each in arguments]
    return Quantity(bounded(values[0] / values[1] if len(values) > 1 else values[0]))


def _logarithm(value: Number) -> float:
    """Natural; of numbers that no float holds as well."""
    if value <= 0:
        raise CalculatorError("a logarithm of a number that is not above 0")
    exact = Fraction(value)
    return math.log(exact.numerator) - math.log(exact.denominator)


def _log_of(base: int) -> Function:
    def log(arguments: Sequence[Quantity]) -> Quantity:
        value = Fraction(plain(arguments[0]))
        guess = round(_logarithm(value) / math.log(base))
        return Quantity(Fraction(guess) if Fraction(base) ** guess == value else _logarithm(value) / math.log(base))

    return log


def _extreme(sign: int) -> Function:
    def find(arguments: Sequence[Quantity]) -> Quantity:
        best = arguments[0]
        for each in arguments[1:]:
            if added(each, best, -1).value * sign > 0:
                best = each
        return best

    return find


def _sum(arguments: Sequence[Quantity]) -> Quantity:
    total = arguments[0]
    for each in arguments[1:]:
        total = added(total, each)
    return total


def _mean(arguments: Sequence[Quantity]) -> Quantity:
    return divided(_sum(arguments), Quantity(Fraction(len(arguments))))


def _median(arguments: Sequence[Quantity]) -> Quantity:
    ordered = sorted(arguments, key=lambda each: each.base)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else _mean(ordered[middle - 1 : middle + 1])


def _mod(arguments: Sequence[Quantity]) -> Quantity:
    """What is left, with the sign of the divisor."""
    left, right = arguments
    ratio = plain(divided(left, right))
    return added(left, Quantity(right.value * math.floor(ratio), right.units), -1)


def _factorial(count: int) -> int:
    if not 0 <= count <= MOST_FACTORIAL:
        raise CalculatorError(f"a factorial is of 0 to {MOST_FACTORIAL}")
    return math.factorial(count)


def _choose(does: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def chosen(n: int, k: int) -> int:
        if not 0 <= n <= 100_000 or not 0 <= k <= MOST_FACTORIAL:
            raise CalculatorError("the numbers are negative or too large")
        return does(n, k)

    return chosen


def _abs(arguments: Sequence[Quantity]) -> Quantity:
    return negated(arguments[0]) if arguments[0].value < 0 else arguments[0]


MANY = 200
FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    "abs": (1, 1, _abs),
    "sqrt": (1, 1, _sqrt),
    "round": (1, 2, _round),
    "floor": (1, 1, _keeping(lambda value: Fraction(math.floor(value)))),
    "ceil": (1, 1, _keeping(lambda value: Fraction(math.ceil(value)))),
    "min": (1, MANY, _extreme(-1)),
    "max": (1, MANY, _extreme(1)),
    "sum": (1, MANY, _sum),
    "mean": (1, MANY, _mean),
    "median": (1, MANY, _median),
    "mod": (2, 2, _mod),
    "exp": (1, 1, _real(math.exp)),
    "ln": (1, 1, _log),
    "log": (1, 2, _log),
    "log10": (1, 1, _log_of(10)),
    "log2": (1, 1, _log_of(2)),
    "sin": (1, 1, _real(math.sin)),
    "cos": (1, 1, _real(math.cos)),
    "tan": (1, 1, _real(math.tan)),
    "asin": (1, 1, _real(math.asin)),
    "acos": (1, 1, _real(math.acos)),
    "atan": (1, 1, _real(math.atan)),
    "atan2": (2, 2, _real(math.atan2)),
    "radians": (1, 1, _real(math.radians)),
    "degrees": (1, 1, _real(math.degrees)),
    "hypot": (2, 2, _real(math.hypot)),
    "factorial": (1, 1, _whole(_factorial)),
    "comb": (2, 2, _whole(_choose(math.comb))),
    "perm": (2, 2, _whole(_choose(math.perm))),
    "gcd": (1, MANY, _whole(math.gcd)),
    "lcm": (1, MANY, _whole(math.lcm)),
}
