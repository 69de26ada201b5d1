"""Token masks for constraints in process, by xgrammar (Dong et al. 2024, arXiv:2411.15100).

Knows grammars and tokenizers; not how tokens are drawn. Needs torch, xgrammar and a transformers tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from decoder.constraint import validate
from decoder.errors import ConstraintIgnored, ConstraintRefused, MissingExtra
from decoder.schema import as_mapping, subschemas
from decoder.spelled_tokens import Spelled
from decoder.types import Constraint

if TYPE_CHECKING:
    import torch

STEP = "compiling a constraint"
# What xgrammar 0.2.8 reads past without enforcing it.
UNENFORCED = frozenset(
    {
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "not",
        "then",
        "unevaluatedItems",
        "uniqueItems",
    }
)


class MaskCompiler:
    """Compiles constraints for one tokenizer, and keeps what it compiled (at most 256 MiB).

    Args:
        tokenizer: a transformers tokenizer.
        vocab_size: the width of the model's logits, which may exceed the tokenizer's vocabulary.
        end_tokens: ids that end a completion.

    Raises:
        MissingExtra: xgrammar is not installed.
    """

    def __init__(self, tokenizer: Any, vocab_size: int, end_tokens: Iterable[int]) -> None:
        try:
            import xgrammar
        except ImportError as error:
            raise MissingExtra(STEP, "xgrammar", "rag") from error
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocab_size, stop_token_ids=sorted(end_tokens)
        )
        self.vocab_size = vocab_size
        self._spelled = Spelled(info.decoded_vocab)
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=2, cache_limit_bytes=256 * 2**20)

    def compile(self, constraint: Constraint) -> Any:
        """The compiled grammar. Raises ConstraintRefused when it is malformed or asks for what is not enforced."""
        value = validate(constraint).value
        if constraint.kind == "json":
            check_enforced(as_mapping(value))
        try:
            return self._compile(constraint.kind, value)
        except (RuntimeError, ValueError, TypeError) as error:
            cause = " ".join(str(error).split())
            raise ConstraintRefused(STEP, f"xgrammar cannot read the {constraint.kind} ({cause})") from error

    def _compile(self, kind: str, value: Any) -> Any:
        match kind:
            case "regex":
                return self._compiler.compile_regex(value)
            case "choice":
                rules = " | ".join(_written(choice) for choice in value)
                return self._compiler.compile_grammar(f"root ::= {rules}")
            case "json":
                # One space after colon and comma: free white space lets a weak model pad for ever.
                return self._compiler.compile_json_schema(_written(as_mapping(value)), any_whitespace=False)
            case "grammar":
                return self._compiler.compile_grammar(value)
            case _:
                return self._compiler.compile_structural_tag(_written(value))

    def masks(self, constraint: Constraint, rows: int) -> list[Mask]:
        """A fresh mask for each of `rows` completions. Raises ConstraintRefused."""
        compiled = self.compile(constraint)
        return [Mask(compiled, self.vocab_size, self._spelled) for _ in range(rows)]


def _written(value: Any) -> str:
    """As JSON with every character itself: xgrammar reads an escaped pair of surrogates as two characters."""
    return json.dumps(value, ensure_ascii=False)


class Mask:
    """What one completion may go on with."""

    def __init__(self, compiled: Any, vocab_size: int, spelled: Spelled) -> None:
        import xgrammar

        self._matcher = xgrammar.GrammarMatcher(compiled)
        self._bits = xgrammar.allocate_token_bitmask(1, vocab_size)
        self._spelled = spelled

    def apply(self, scores: torch.Tensor) -> None:
        """Set the scores, of shape (1, vocab), of forbidden tokens to -inf, in place; they are on the CPU."""
        import xgrammar

        if not self._matcher.is_terminated():
            self._matcher.fill_next_token_bitmask(self._bits, 0)
            self._spelled.complete(self._bits[0], self._matcher)
            xgrammar.apply_token_bitmask_inplace(scores, self._bits)

    def accept(self, token: int) -> None:
        """Move past a drawn token. Raises ConstraintIgnored when no token was possible and one came all the same."""
        if not self._matcher.is_terminated() and not self._matcher.accept_token(token):
            remedy = "Its vocabulary may not be able to spell what is asked for"
            raise ConstraintIgnored("constrained decoding", f"token {token} breaks the constraint", remedy)


def check_enforced(schema: Mapping[str, Any]) -> None:
    """Raise ConstraintRefused when xgrammar would silently read past part of the schema."""
    for node in subschemas(schema):
        ignored = sorted(key for key in UNENFORCED & node.keys() if node[key] is not False)
        if len(node.get("allOf", [])) > 1:
            ignored.append("allOf of several")
        if node.keys() & {"pattern", "format"} and node.keys() & {"minLength", "maxLength"}:
            ignored.append("minLength or maxLength beside pattern or format")
        if "multipleOf" in node and node.get("type") != "integer":
            ignored.append("multipleOf beside another type than integer")
        if undeclared := set(node.get("required", [])) - (node.get("properties") or {}).keys():
            ignored.append(f"required of undeclared {', '.join(sorted(undeclared))}")
        if ignored:
            cause = f"the JSON schema uses {', '.join(ignored)}, which xgrammar does not enforce"
            raise ConstraintRefused(STEP, cause, "Leave it out and check the result, or decode without a constraint")
