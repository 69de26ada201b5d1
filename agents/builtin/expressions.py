"""Reads arithmetic with units and calculates it while it reads: `3 km / 20 min in km/h`, `$80 - 15%`, `sqrt(2)`.

    whole   = sum [("in" | "to") unit]
    sum     = product {("+" | "-") product}
    product = signed {("*" | "/" | "//" | "%" | "of") signed}
    signed  = {"+" | "-"} power
    power   = postfix ["^" signed]
    postfix = atom {"!" | "%" | unit}            3 h 20 min is the sum of both
    atom    = number | constant | unit | function "(" sum {"," sum} ")" | "(" sum ")"

Nothing is ever evaluated as Python. The text, its depth and every number in it are bounded.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from agents.builtin.functions import CONSTANTS, call
from agents.builtin.quantities import (
    CalculatorError,
    Quantity,
    added,
    converted,
    divided,
    negated,
    plain,
    power,
    times,
    with_unit,
)
from agents.builtin.units import SYMBOLS, Unit, find_unit

LONGEST = 1000
DEEPEST = 40
LARGEST_EXPONENT = 4000
_SIGNS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "**": "^", ";": ","}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\w.]))?)"
    r"|(?P<name>°[CF]|[^\W\d]\w*|µm)"
    r"|(?P<sign>\*\*|//|[-+*/^%!(),;×·÷−–$€£¥₹]))"
)
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
INCH = "in"
WORDS = frozenset({INCH, "to", "of"})


def calculate(text: str) -> Quantity:
    """The value of an expression. Raises CalculatorError, whose message says what is wrong and where."""
    if len(text) > LONGEST:
        raise CalculatorError(f"the expression has more than {LONGEST} characters")
    try:
        return _Reader(text).whole()
    except OverflowError:  # an exact number beside a float that cannot hold it
        raise CalculatorError("the result is too large") from None


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    text = text.rstrip()
    if "(" not in text:  # between parentheses a comma may part arguments
        text = _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise CalculatorError(f"{text[position:].strip()[:10]!r} is not understood")
        token = match.group().strip()
        found.append(_SIGNS.get(token, token))
        position = match.end()
    return found


class _Reader:
    """A position in the tokens, and one method for each rule."""

    def __init__(self, text: str) -> None:
        self._tokens, self._at, self._depth = _tokens(text), 0, 0
        if not self._tokens:
            raise CalculatorError("the expression is empty")

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._peek()
        if token and token in wanted:
            self._at += 1
            return token
        return ""

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise CalculatorError(f"{wanted!r} is wanted {self._place()}")

    def _place(self) -> str:
        return f"before {self._peek()[:20]!r}" if self._peek() else "at the end"

    def whole(self) -> Quantity:
        value = self._sum()
        if self._take("in", "to"):
            value = converted(value, self._target())
        if self._peek():
            raise CalculatorError(f"an operator is wanted {self._place()}")
        return value

    def _target(self) -> Quantity:
        unit = self._unit_here()
        if unit is not None and unit.zero and len(self._tokens) == self._at + 1:
            self._at += 1
            return Quantity(Fraction(1), {unit: 1}, scale=unit)
        value = self._product()
        if value.value != 1 or not value.units:
            raise CalculatorError("after `in` stands a unit, as in `5 km in miles`")
        return value

    def _sum(self) -> Quantity:
        self._depth += 1
        if self._depth > DEEPEST:
            raise CalculatorError("it is nested too deeply")
        value = self._product()
        while sign := self._take("+", "-"):
            value = added(value, self._product(), 1 if sign == "+" else -1)
        self._depth -= 1
        return value

    def _product(self) -> Quantity:
        value = self._signed()
        while sign := self._take("*", "/", "//", "%", "of"):
            right = self._signed()
            if sign in ("*", "of"):
                value = times(value, right)
            elif sign == "/":
                value = divided(value, right)
            elif sign == "//":
                value = Quantity(Fraction(math.floor(plain(divided(value, right)))))
            else:
                value = call("mod", (value, right))
        return value

    def _signed(self) -> Quantity:
        minus = False
        while sign := self._take("+", "-"):
            minus ^= sign == "-"
        value = self._power()
        return negated(value) if minus else value

    def _power(self) -> Quantity:
        base = self._postfix()
        if not self._take("^"):
            return base
        self._depth += 1
        if self._depth > DEEPEST:
            raise CalculatorError("it is nested too deeply")
        exponent = self._signed()
        self._depth -= 1
        return power(base, exponent)

    def _postfix(self) -> Quantity:
        value = self._atom()
        while True:
            if self._take("!"):
                value = call("factorial", (value,))
            elif self._peek() == "%" and not self._starts_operand(1):
                self._at += 1
                value = Quantity(plain(value) / 100, percent=True)
            elif (unit := self._unit_here()) is not None and not (value.units and self._peek() == INCH):
                value = self._with_unit(value, unit)
            elif value.units and self._starts_number() and self._unit_here(1) is not None:
                value = added(value, self._postfix())  # 3 h 20 min
            else:
                return value

    def _with_unit(self, value: Quantity, unit: Unit) -> Quantity:
        self._at += 1
        return with_unit(value, unit, self._unit_power())

    def _unit_power(self) -> int:
        """The exponent of a unit, which belongs to it and not to the number before: 5 m^2."""
        if self._peek() != "^":
            return 1
        ahead = 2 if self._peek(1) == "-" else 1
        digits = self._peek(ahead)
        if not digits.isdecimal() or len(digits) > 1:
            raise CalculatorError("a unit has a power of one digit")
        self._at += ahead + 1
        return -int(digits) if ahead == 2 else int(digits)

    def _atom(self) -> Quantity:
        if self._take("("):
            value = self._sum()
            self._expect(")")
            return value
        token = self._peek()
        if self._starts_number():
            self._at += 1
            return Quantity(_number(token))
        if token in SYMBOLS and self._starts_number(1):
            self._at += 2
            return with_unit(Quantity(_number(self._tokens[self._at - 1])), _known(token))
        if (unit := self._unit_here()) is not None:
            return self._with_unit(Quantity(Fraction(1)), unit)
        if token[:1].isalpha() and token not in WORDS:
            self._at += 1
            return self._named(token)
        raise CalculatorError(f"a number is wanted {self._place()}")

    def _named(self, name: str) -> Quantity:
        if self._take("("):
            arguments = [self._sum()]
            while self._take(","):
                arguments.append(self._sum())
            self._expect(")")
            return call(name, arguments)
        if name.lower() in CONSTANTS:
            return Quantity(CONSTANTS[name.lower()])
        raise CalculatorError(f"{name[:30]!r} is no unit, constant or function")

    def _starts_number(self, ahead: int = 0) -> bool:
        return self._peek(ahead)[:1].isdecimal() or self._peek(ahead)[:1] == "."

    def _starts_operand(self, ahead: int) -> bool:
        word = self._peek(ahead)
        return self._starts_number(ahead) or word.startswith("(") or (word[:1].isalpha() and word not in WORDS)

    def _unit_here(self, ahead: int = 0) -> Unit | None:
        """The unit at this place. `in` is an inch where nothing follows it that could be converted to."""
        word, after = self._peek(ahead), self._peek(ahead + 1)
        if word == INCH and after not in ("", "(") and not find_unit(after):
            return find_unit("inch")
        return None if not word or word in WORDS or after == "(" else find_unit(word)


def _known(symbol: str) -> Unit:
    unit = find_unit(symbol)
    if unit is None:
        raise CalculatorError(f"{symbol!r} is no unit")
    return unit


def _number(token: str) -> Fraction:
    exponent = token.lower().partition("e")[2]
    if len(exponent) > 5 or abs(int(exponent or 0)) > LARGEST_EXPONENT:
        raise CalculatorError("a number has too many digits")
    try:
        return Fraction(token.replace("_", ""))
    except ValueError:
        raise CalculatorError(f"{token[:30]!r} is no number") from None
