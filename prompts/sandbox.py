"""Templates that can only show values: Jinja2's sandboxed environment with strict undefined, and much less in it.

A prompt describes; what needs computing is computed before and given as a value. So there are conditions, loops,
comparisons, sums and a few filters, and no calls but `range`, no assignments, macros, imports or attributes of
Python objects. What remains is bounded: every turn of a loop and every filter is charged to one budget, and so is
every character that comes out. A value is data: it is never read as a template, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from prompts.budget import CHARACTERS_A_STEP, MOST_STEPS, Budget, size
from prompts.errors import RenderError, TooMuchText
from prompts.filters import filters
from prompts.untrusted import UNTRUSTED_RULE
from prompts.variables import STEP

if TYPE_CHECKING:
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

MOST_DEPTH = 64
RULE = "untrusted_rule"
"""The name under which every template finds `UNTRUSTED_RULE`."""
GLOBALS = frozenset({RULE, "range"})
_NODES = frozenset(
    (
        "Template", "Output", "TemplateData", "If", "For", "Name", "Const", "Tuple", "List", "Dict", "Pair", "Keyword",
        "Filter", "Test", "Call", "Getattr", "Getitem", "Slice", "Concat", "Compare", "Operand", "And", "Or", "Not",
        "Neg", "Pos", "Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "CondExpr",
    )
)  # fmt: skip
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"})
_BUDGET = "_budget"
_COUNTED = "#counted"
"""A filter around what loops go through; no template can spell its name."""
# A carriage return is among them because Jinja2 reads it as a line feed.
_SYNTAX = re.compile(r"\{[{%#]|\{(?=\r|\Z)|\r")


class BadTemplate(Exception):
    """A template that is no template here. Only `template.py` sees it, which knows the file.

    Attributes:
        line: in the template, from 1.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass(frozen=True)
class Compiled:
    """A template that was found harmless.

    Attributes:
        names: the variables it uses.
        marks: whether it uses the filter `untrusted`.
        explains: whether it shows `UNTRUSTED_RULE`.
    """

    template: jinja2.Template
    names: frozenset[str]
    marks: bool
    explains: bool


def render(compiled: Compiled, values: Mapping[str, Any], budget: Budget) -> str:
    """The text of a template with checked values.

    Raises:
        TooMuchText: its bounds were passed.
        RenderError: it asks for what the values do not hold, or computes with what is no number.
    """
    from jinja2 import TemplateError

    try:
        return "".join(budget.write(piece) for piece in compiled.template.generate({**values, _BUDGET: budget}))
    except (
        TemplateError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise RenderError(STEP, f"the template failed: {error}", "Mend the template or the values") from error


@lru_cache(maxsize=1024)
def compiled(text: str) -> Compiled:
    """Parse a template and refuse whatever could do more than show values. Raises BadTemplate."""
    import jinja2
    from jinja2 import meta, nodes

    environment = _environment()
    try:
        tree = environment.parse(text)
        _check(tree)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
        names = frozenset(meta.find_undeclared_variables(tree))  # globals are not among them
        explains = any(node.name == RULE for node in tree.find_all(nodes.Name))
        marks = any(node.name == "untrusted" for node in tree.find_all(nodes.Filter))
        code = environment.compile(tree)
    except jinja2.TemplateSyntaxError as error:
        raise BadTemplate(error.lineno, str(error.message)) from error
    except (RecursionError, SyntaxError, ValueError, MemoryError) as error:
        raise BadTemplate(1, f"it is too deep or too long to be read ({type(error).__name__})") from error
    template = jinja2.Template.from_code(environment, code, environment.make_globals(None))
    return Compiled(template, names, marks, explains)


def outline(text: str) -> list[tuple[str, str]]:
    """A template in pieces: ("text", …) that is printed, ("name", …) of a value that is printed, ("code", "") else."""
    from jinja2 import nodes

    compiled(text)  # for BadTemplate
    pieces: list[tuple[str, str]] = []
    for statement in _environment().parse(text).body:
        for node in statement.nodes if isinstance(statement, nodes.Output) else (statement,):
            if isinstance(node, nodes.TemplateData):
                pieces.append(("text", node.data))
            elif isinstance(node, nodes.Const) and isinstance(node.value, str):
                pieces.append(("text", node.value))
            elif isinstance(node, nodes.Name):
                pieces.append(("text", UNTRUSTED_RULE) if node.name == RULE else ("name", node.name))
            else:
                pieces.append(("code", ""))
    return pieces


def escape(text: str) -> str:
    """A template that renders to `text`, whatever braces it holds; safe to be followed by another template."""
    return _SYNTAX.sub(lambda match: "{{ %r }}" % match.group(), text)  # noqa: UP031  # braces all over


def _check(tree: Any) -> None:
    """Iteratively: a tree may be deeper than Python's own stack."""
    from jinja2 import nodes

    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise BadTemplate(node.lineno, f"it is nested deeper than {MOST_DEPTH}")
        if type(node).__name__ not in _NODES:
            raise BadTemplate(node.lineno, f"{type(node).__name__} is not for prompts: give what it makes as a value")
        if isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Name) and node.node.name == "range"):
            raise BadTemplate(node.lineno, "nothing can be called but range: give what it makes as a value")
        if isinstance(node, nodes.For) and node.recursive:
            raise BadTemplate(node.lineno, "a loop cannot be recursive")
        name = node.name if isinstance(node, nodes.Name) else node.attr if isinstance(node, nodes.Getattr) else ""
        if name.startswith("_"):
            raise BadTemplate(node.lineno, f"{name} begins with an underscore")
        waiting += [(child, depth + 1) for child in node.iter_child_nodes()]


@cache
def _environment() -> SandboxedEnvironment:
    import jinja2
    from jinja2.runtime import LoopContext
    from jinja2.sandbox import SandboxedEnvironment

    class Environment(SandboxedEnvironment):
        """Reads items of plain data and counters of loops, and no attribute of anything else."""

        intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if not all(type(side) in (int, float) and abs(side) < 1e18 for side in (left, right)):
                raise TypeError(f"{operator} is for numbers below 1e18; texts are joined with ~")
            return super().call_binop(context, operator, left, right)

        def getattr(self, obj: Any, attribute: str) -> Any:
            if isinstance(obj, LoopContext) and attribute in _LOOP:
                return getattr(obj, attribute)
            return self.getitem(obj, attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, (dict, list, tuple, str)):
                try:
                    return obj[argument]
                except (TypeError, LookupError):
                    return self.undefined(obj=obj, name=argument)
            return self.undefined(obj=obj, name=argument)

    made = Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        optimized=False,  # constants would be computed at once, beyond any budget
        auto_reload=False,
    )
    made.filters = {name: _charged(jinja2.pass_context, function) for name, function in filters().items()}
    made.filters[_COUNTED] = jinja2.pass_context(_counted)
    made.tests = {name: made.tests[name] for name in _TESTS}
    made.globals = {RULE: UNTRUSTED_RULE, "range": _range}
    return made


_TESTS = (
    "defined", "undefined", "none", "boolean", "string", "number", "integer", "float", "mapping", "sequence",
    "even", "odd", "in", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip


def _charged(pass_context: Any, function: Any) -> Any:
    def charged(context: Any, value: Any, *arguments: Any, **named: Any) -> Any:
        budget: Budget = context[_BUDGET]
        budget.spend(1 + size(value) // CHARACTERS_A_STEP)
        result = function(value, *arguments, **named)
        budget.spend(size(result) // CHARACTERS_A_STEP)
        return result

    return pass_context(charged)


def _counted(context: Any, items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        context[_BUDGET].spend()
        yield item


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MOST_STEPS:
        raise TooMuchText(STEP, f"range has more than {MOST_STEPS} numbers", "Loop over fewer items")
    return numbers
