"""How source code is cut: functions that stand whole in one passage, of those that would fit into one.

    python -m benchmarks.code_passages [FOLDER] [--tokens 180]

FOLDER holds Python files; without it, this repository. By syntax, by blank lines and indentation (as a language
without a grammar is cut), and as prose; functions are told by Python's own parser.
"""

from __future__ import annotations

import argparse
import ast
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from rag.chunk import chunk, estimate_tokens
from rag.types import Document

WAYS = {"by syntax": "text/x-python", "by blank lines": "text/x-unknown", "as prose": "text/plain"}


def functions(text: str) -> list[str]:
    """The source of every function, the outermost alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    found: list[str] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(ast.get_source_segment(text, node) or "")
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return found


def measure(texts: Sequence[str], media_type: str, tokens: int) -> tuple[int, int, int, float]:
    """Functions that fit, those that stand whole in a passage, passages, and seconds."""
    fit = whole = count = 0
    seconds = 0.0
    for text in texts:
        started = time.perf_counter()
        passages = chunk(Document("a.py", text, "hash", media_type), tokens)
        seconds += time.perf_counter() - started
        count += len(passages)
        for function in functions(text):
            if function and estimate_tokens(function) <= tokens:
                fit += 1
                whole += any(function in passage.text for passage in passages)
    return fit, whole, count, seconds


def main() -> None:
    """Print one line for each way to cut."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--tokens", type=int, default=180)
    given = parser.parse_args()
    files = [path for path in sorted(given.folder.rglob("*.py")) if not any(p.startswith(".") for p in path.parts[1:])]
    texts = [path.read_text(encoding="utf-8") for path in files]
    print(f"{len(files)} files, {sum(map(len, texts)):,} characters, passages of {given.tokens} tokens")
    print(f"{'cut':<15} {'fit':>6} {'whole':>6} {'share':>6} {'passages':>9} {'seconds':>8}")
    for name, media_type in WAYS.items():
        fit, whole, count, seconds = measure(texts, media_type, given.tokens)
        print(f"{name:<15} {fit:>6} {whole:>6} {whole / fit:>6.3f} {count:>9} {seconds:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
