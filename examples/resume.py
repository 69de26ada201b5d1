"""A run that is killed half way and goes on from its transcript, without doing again what was done.

The first process pays two of three invoices and is killed by SIGKILL: nothing is tidied up, as in a power cut. The
second one resumes from the transcript and pays the third.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from which_decoder import call, which_decoder

from agents import Agent, Observation, Policy, tool
from agents.policy import approve_all
from agents.transcript import Transcript
from decoder import Decoder

TASK = "Pay the invoices A, B and C, one after the other."
SCRIPT = [
    "First A.",
    call("pay", invoice="A"),
    "Then B.",
    call("pay", invoice="B"),
    "Then C.",
    call("pay", invoice="C"),
    "All three are paid.",
    call("final_answer", answer="A, B and C are paid."),
]


def payer(decoder: Decoder, folder: Path) -> Agent:
    """The agent. It must be the same in both processes: a run does not go on with other tools."""

    @tool(effect="write")
    def pay(invoice: str) -> str:
        """Pay an invoice."""
        with (folder / "paid.txt").open("a") as ledger:
            ledger.write(f"{invoice}\n")
        return f"{invoice} is paid"

    return Agent(decoder, [pay], policy=Policy(approve=approve_all))


def work_until_killed(folder: Path) -> None:
    """The first process: each event is in the transcript before anything else happens."""
    observed = 0

    def kill(event: object) -> None:
        nonlocal observed
        observed += isinstance(event, Observation)
        if observed == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    with which_decoder(SCRIPT) as decoder:
        payer(decoder, folder).run(TASK, listeners=[Transcript(folder / "run.jsonl"), kill])


def main() -> None:
    """Start the first process, see it die, and go on."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--folder", name], check=False)
        print(f"The first process ended with {first.returncode}. Paid: {paid(folder)}")
        with which_decoder(SCRIPT) as decoder:
            result = payer(decoder, folder).resume(folder / "run.jsonl")
        print(f"Resumed: {result.answer} Paid: {paid(folder)}")


def paid(folder: Path) -> list[str]:
    """What the ledger says."""
    ledger = folder / "paid.txt"
    return ledger.read_text().split() if ledger.exists() else []


if __name__ == "__main__":
    if "--folder" in sys.argv:
        work_until_killed(Path(sys.argv[sys.argv.index("--folder") + 1]))
    else:
        main()
