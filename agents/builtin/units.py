"""Units and their exact factors: each by definition, in the base units of its dimension.

Money has no exchange rates: every currency is a dimension of its own. A year is 365.25 days, a month a twelfth of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

Dimensions = tuple[tuple[str, int], ...]
"""Base dimensions and their exponents, sorted, none 0."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit. `factor` is what one of it is in base units; `zero` is where its scale begins, in kelvin."""

    name: str
    factor: Fraction
    dimensions: Dimensions
    zero: Fraction = Fraction(0)


LENGTH, MASS, TIME, HEAT, DATA = "length", "mass", "time", "temperature", "data"
ENERGY = {MASS: 1, LENGTH: 2, TIME: -2}
# The dimensions, then for each unit its factor and its names, the first of which is shown.
_TABLE: tuple[tuple[Mapping[str, int], Mapping[str, str]], ...] = (
    (
        {LENGTH: 1},
        {
            "1": "m meter metre",
            "1000": "km kilometer kilometre",
            "1/100": "cm centimeter centimetre",
            "1/1000": "mm millimeter millimetre",
            "1/1000000": "um µm micrometer micrometre",
            "1/1000000000": "nm",
            "254/10000": "inch inches",
            "3048/10000": "ft foot feet",
            "9144/10000": "yd yard",
            "1609344/1000": "mi mile",
            "1852": "nmi",
        },
    ),
    (
        {MASS: 1},
        {
            "1": "kg kilogram",
            "1/1000": "g gram gramme",
            "1/1000000": "mg milligram",
            "1000": "t tonne",
            "45359237/100000000": "lb lbs pound",
            "45359237/1600000000": "oz ounce",
        },
    ),
    (
        {TIME: 1},
        {
            "1": "s sec second",
            "1/1000": "ms millisecond",
            "60": "min minute",
            "3600": "h hr hour",
            "86400": "day d",
            "604800": "week",
            "2629800": "month",
            "31557600": "year yr",
        },
    ),
    ({HEAT: 1}, {"1": "K kelvin"}),
    (
        {DATA: 1},
        {
            "1": "bit",
            "8": "B byte",
            "8000": "kB",
            "8000000": "MB megabyte",
            "8000000000": "GB gigabyte",
            "8000000000000": "TB terabyte",
            "8192": "KiB",
            "8388608": "MiB",
            "8589934592": "GiB",
            "8796093022208": "TiB",
        },
    ),
    ({LENGTH: 2}, {"10000": "ha hectare", "40468564224/10000000": "acre"}),
    (
        {LENGTH: 3},
        {
            "1/1000": "l L liter litre",
            "1/1000000": "ml mL milliliter millilitre",
            "1/100000": "cl",
            "3785411784/1000000000000": "gal gallon",
        },
    ),
    ({LENGTH: 1, TIME: -1}, {"1609344/3600000": "mph", "10/36": "kmh kph", "1852/3600": "kn knot"}),
    ({MASS: 1, LENGTH: 1, TIME: -2}, {"1": "N newton"}),
    (
        ENERGY,
        {"1": "J joule", "1000": "kJ", "4184/1000": "cal calorie", "4184": "kcal", "3600": "Wh", "3600000": "kWh"},
    ),
    ({**ENERGY, TIME: -3}, {"1": "W watt", "1000": "kW kilowatt"}),
    ({MASS: 1, LENGTH: -1, TIME: -2}, {"1": "Pa pascal", "1000": "kPa", "100000": "bar"}),
    ({TIME: -1}, {"1": "Hz hertz"}),
)
CURRENCIES = "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS INR JPY KRW MXN NOK NZD PLN SEK SGD TRY USD ZAR"
SYMBOLS: Mapping[str, str] = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
CELSIUS = Unit("°C", Fraction(1), ((HEAT, 1),), Fraction(27315, 100))
FAHRENHEIT = Unit("°F", Fraction(5, 9), ((HEAT, 1),), Fraction(45967, 180))


def _all() -> Iterable[tuple[str, Unit]]:
    for dimensions, factors in _TABLE:
        for factor, names in factors.items():
            unit = Unit(names.split()[0], Fraction(factor), tuple(sorted(dimensions.items())))
            for name in names.split():
                yield name, unit
                if len(name) > 3 and not name.endswith(("s", "z")):
                    yield f"{name}s", unit
    for code in CURRENCIES.split():
        yield code, Unit(code, Fraction(1), ((code, 1),))
    for symbol, code in SYMBOLS.items():
        yield symbol, Unit(code, Fraction(1), ((code, 1),))
    for names, unit in (("°C degC celsius", CELSIUS), ("°F degF fahrenheit", FAHRENHEIT)):
        yield from ((name, unit) for name in names.split())


UNITS: Mapping[str, Unit] = dict(_all()) | {"days": Unit("day", Fraction(86400), ((TIME, 1),))}


def find_unit(name: str) -> Unit | None:
    """The unit of a name or symbol; long names, and currencies, in any case."""
    found = UNITS.get(name)
    if found is None and len(name) >= 3:
        found = UNITS.get(name.lower()) or UNITS.get(name.upper())
    return found
