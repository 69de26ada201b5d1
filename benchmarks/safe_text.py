"""How long text of a model takes to be made safe for the pages: processor time per 100,000 characters.

    python -m benchmarks.safe_text [--characters 100000] [--repeats 3]

Each text repeats one piece of Markdown that readers of it are slow at: what opens and never ends, nests, or may be
several things. That the work grows with the length and no faster is counted in tests/security/test_browser_text.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ui.browser.safe_text import plain, safe_markdown

SEEDS = ["word ", "**heat** of `x` in [the manual](https://a.b/c)\n\n- an item\n", "[", "[a](", "*a **b ", "> "]
SEEDS += ["- ", "`a ", "|a", "|a|b\n|-|-\n", "\\", "&#", ":a", "a@", "http://a.b/(", "\x1b]", "\x9d", "[a]: x\n", "\n"]
SEEDS += ["<a ", "~~a "]


def text_of(seed: str, characters: int) -> str:
    """The piece again and again, so many characters long."""
    return (seed * (characters // len(seed) + 1))[:characters]


def seconds(making: Callable[[str], str], text: str, repeats: int) -> float:
    """Processor time of the fastest of several tries."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        making(text)
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    """Measure every piece and print the milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--characters", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{'piece':24} {'plain, ms':>10} {'safe_markdown, ms':>18}")
    for seed in SEEDS:
        text = text_of(seed, options.characters)
        taken = [1000 * seconds(each, text, options.repeats) for each in (plain, safe_markdown.__wrapped__)]
        print(f"{seed!r:24.24} {taken[0]:10.1f} {taken[1]:18.1f}")


if __name__ == "__main__":
    main()
