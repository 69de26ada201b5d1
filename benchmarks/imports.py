"""CPU time until something happens: `python -m benchmarks.imports`. Exit code 1 when a limit is broken.

User and system time of child processes, medians over runs that take turns, after one unmeasured round that writes
byte code and warms the disk's cache.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = 11
BARE = "bare python"
ROOMS = "import decoder, prompts, rag, agents, alignment"
HELP = "hearth --help"
COMMANDS = {
    BARE: ("-c", "pass"),
    ROOMS: ("-c", ROOMS),
    HELP: ("-c", "import sys; from ui.cli.main import main; sys.exit(main(['--help']))"),
}
ROOMS_LIMIT = 150
"""Milliseconds beyond bare Python."""
HELP_LIMIT = 250
"""Milliseconds in all."""


def cpu_ms(arguments: tuple[str, ...]) -> float:
    """User and system time of one child process, milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(runs: int = RUNS) -> dict[str, float]:
    """Median milliseconds of each command."""
    rounds = [{name: cpu_ms(arguments) for name, arguments in COMMANDS.items()} for _ in range(runs + 1)]
    return {name: statistics.median(found[name] for found in rounds[1:]) for name in COMMANDS}


def main() -> int:
    """Print the medians and the limits; 1 when one is broken."""
    found = measure()
    beyond = found[ROOMS] - found[BARE]
    print(f"CPU ms, medians of {RUNS} runs")
    print(f"{BARE:<50}{found[BARE]:7.1f}")
    print(f"{ROOMS:<50}{found[ROOMS]:7.1f}   {beyond:.1f} beyond bare, limit {ROOMS_LIMIT}")
    print(f"{HELP:<50}{found[HELP]:7.1f}   limit {HELP_LIMIT}")
    return int(beyond > ROOMS_LIMIT or found[HELP] > HELP_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
