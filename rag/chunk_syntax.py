"""Source code as a tree of units, by the grammars of tree-sitter: what a definition is, what belongs to it, its name.

The grammars come in packages, one a language; nothing is fetched when a file is read. A parser of tree-sitter never
fails on broken code: what it cannot read becomes an error node with the rest around it. Knows nothing of tokens.
"""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Node

MOST_BYTES = 2_000_000
"""A longer file is cut by its blank lines and indentation instead."""
PARSE_SECONDS = 5.0
NAME_CHARACTERS = 80
GRAMMARS = {
    "python": "tree_sitter_python.language",
    "javascript": "tree_sitter_javascript.language",
    "typescript": "tree_sitter_typescript.language_typescript",
    "tsx": "tree_sitter_typescript.language_tsx",
    "java": "tree_sitter_java.language",
    "c": "tree_sitter_c.language",
    "cpp": "tree_sitter_cpp.language",
    "csharp": "tree_sitter_c_sharp.language",
    "go": "tree_sitter_go.language",
    "rust": "tree_sitter_rust.language",
    "ruby": "tree_sitter_ruby.language",
    "php": "tree_sitter_php.language_php",
    "bash": "tree_sitter_bash.language",
}
ALIASES = {
    **{"py": "python", "python3": "python", "js": "javascript", "jsx": "javascript", "ecmascript": "javascript"},
    **{"ts": "typescript", "c++": "cpp", "c++src": "cpp", "c++hdr": "cpp", "cxx": "cpp", "csrc": "c", "chdr": "c"},
    **{"c#": "csharp", "cs": "csharp", "c-sharp": "csharp", "golang": "go", "rs": "rust", "rb": "ruby"},
    **{"sh": "bash", "shell": "bash", "shellscript": "bash", "zsh": "bash", "java-source": "java"},
}
# ruff: noqa: SIM905  # lists of node types read better as running text
DEFINITIONS = frozenset(
    "function_definition class_definition function_declaration generator_function_declaration class_declaration "
    "abstract_class_declaration method_definition interface_declaration enum_declaration type_alias_declaration "
    "internal_module module record_declaration annotation_type_declaration method_declaration constructor_declaration "
    "struct_declaration namespace_declaration property_declaration delegate_declaration struct_specifier "
    "class_specifier enum_specifier union_specifier namespace_definition type_spec function_item impl_item struct_item "
    "enum_item trait_item mod_item union_item macro_definition class method singleton_method trait_declaration "
    "destructor_declaration operator_declaration local_function_statement".split()
)
WRAPPERS = frozenset(
    "decorated_definition export_statement ambient_declaration template_declaration type_declaration "
    "lexical_declaration variable_declaration".split()
)
"""What surrounds one definition and goes by its name; a wrapper without a definition in it is a statement."""
FUNCTION_VALUES = frozenset({"arrow_function", "function_expression", "function", "class"})
LEADS = frozenset({"decorator", "attribute_item", "inner_attribute_item", "annotation", "marker_annotation"})
BODIES = ("body", "consequence")


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of source code.

    Attributes:
        start, end: character offsets into the text, end exclusive.
        name: of the definition that it is; empty for anything else.
        leads: a comment, decorator or attribute, which belongs to what follows it.
        closes: a docstring, which belongs to what stands before it.
        is_body: the inside of a definition or statement, never a unit to itself.
        parts: the units that it consists of, found when they are asked for; none for a leaf.
    """

    start: int
    end: int
    name: str = ""
    leads: bool = False
    closes: bool = False
    is_body: bool = False
    parts: Callable[[], list[Unit]] = list


def syntax(text: str, language: str, origin: int = 0) -> Unit | None:
    """The whole text as one unit, or None where no grammar is at hand, it is too long or takes too long to parse.

    Args:
        origin: where `text` begins in the document, which the offsets of units refer to.
    """
    grammar = _grammar(ALIASES.get(language.lower(), language.lower()))
    source = text.encode("utf-8", "replace")
    if grammar is None or len(source) > MOST_BYTES:
        return None
    from tree_sitter import Parser

    until = time.monotonic() + PARSE_SECONDS
    try:
        tree = Parser(grammar).parse(
            lambda offset, _: source[offset : offset + 65_536],
            progress_callback=lambda *_: time.monotonic() > until,
        )
    except ValueError:  # it was stopped
        return None
    place = _places(text, source, origin)
    return Unit(origin, origin + len(text), parts=lambda: list(_children(tree.root_node, place)))


@cache
def _grammar(language: str) -> Language | None:
    if language not in GRAMMARS:
        return None
    module, _, function = GRAMMARS[language].rpartition(".")
    try:
        from tree_sitter import Language

        return Language(getattr(import_module(module), function)())
    except ImportError:
        return None


def _places(text: str, source: bytes, origin: int) -> Callable[[int], int]:
    """From an offset in bytes to one in characters."""
    if len(text) == len(source):
        return lambda offset: origin + offset
    starts = [0, *itertools.accumulate(len(c.encode("utf-8", "replace")) for c in text)]
    return lambda offset: origin + bisect.bisect_left(starts, offset)


def _unit(node: Node, place: Callable[[int], int], is_body: bool = False, closes: bool = False) -> Unit:
    leads = node.type in LEADS or "comment" in node.type
    return Unit(
        place(node.start_byte),
        place(node.end_byte),
        "" if leads else _name(node),
        leads,
        closes,
        is_body,
        lambda: list(_children(node, place)),
    )


def _children(node: Node, place: Callable[[int], int]) -> Iterator[Unit]:
    """The parts of a node in order. A wrapper's definition has no name there, so that it counts once."""
    inner = _wrapped(node)
    bodies = {body.id for field in BODIES if (body := node.child_by_field_name(field)) is not None}
    for position, child in enumerate(node.children):
        if inner is not None and child.id == inner.id:
            yield replace(_unit(child, place), name="")
        elif child.end_byte > child.start_byte:
            yield _unit(child, place, child.id in bodies, closes=position == 0 and _is_docstring(node, child))


def _is_docstring(parent: Node, child: Node) -> bool:
    return parent.type == "block" and child.type == "expression_statement" and _only_child(child).startswith("string")


def _only_child(node: Node) -> str:
    return node.children[0].type if node.child_count == 1 else ""


def _wrapped(node: Node) -> Node | None:
    """The definition that this node wraps, when it wraps one."""
    if node.type not in WRAPPERS:
        return None
    inside = [child for child in node.named_children if child.type in DEFINITIONS or _is_named_value(child)]
    return inside[0] if len(inside) == 1 else next((c for c in node.named_children if _wrapped(c) is not None), None)


def _is_named_value(node: Node) -> bool:
    """`f = () => {…}`, which is a function by another spelling."""
    value = node.child_by_field_name("value") if node.type == "variable_declarator" else None
    return value is not None and value.type in FUNCTION_VALUES


def _name(node: Node) -> str:
    """What a definition is called: its name, a C declarator's innermost one, the type of an `impl`."""
    inner = _wrapped(node)
    if inner is not None:
        return _name(inner)
    if node.type not in DEFINITIONS and not _is_named_value(node):
        return ""
    named = node.child_by_field_name("name") or node.child_by_field_name(
        "type" if "impl" in node.type else "declarator"
    )
    while named is not None and (deeper := named.child_by_field_name("declarator")) is not None:
        named = deeper
    receiver = node.child_by_field_name("receiver")
    return ".".join(part for part in (_receiver(receiver), _text(named)) if part)


def _receiver(node: Node | None) -> str:
    """The type that a method of Go belongs to."""
    waiting = [node] if node is not None else []
    while waiting:
        found = waiting.pop(0)
        if found.type == "type_identifier":
            return _text(found)
        waiting.extend(found.named_children)
    return ""


def _text(node: Node | None) -> str:
    text = (node.text or b"").decode("utf-8", "replace") if node is not None else ""
    return " ".join(text.split())[:NAME_CHARACTERS]
