"""The small process that starts vLLM, waits until it is healthy, starts it again when it dies, and stops it.

Run by `server.py` as `python -P -m decoder.supervisor NAME [detach | tied]`. It reads what to start from the state
file and is the only one to write there. Tied, it stops when its standard input closes, so that a `hearth serve` in
the foreground leaves nothing behind however it ends.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from decoder import adapters, server_state
from decoder.errors import ConnectFailed, DecoderError, HearthError
from decoder.server_http import model_names, request
from decoder.server_options import ServeOptions, command, environment, start_timeout
from decoder.server_state import Process, ServerState, end_group, log_tail

STABLE = 600.0  # a server that was healthy for so long starts with a fresh budget of restarts
MOST_DELAY = 60.0
HANG = 120.0  # seconds without an answer from /health that count as death
# An exception, what pydantic says of a value, or argparse's last word.
ERROR_LINE = re.compile(r"\s*(?:[\w.]+(?:Error|Exception): (?!\d+ validation error)|Value error, |[\w.]+: error: )")
Reason = tuple[str, str, str]


class Supervisor:
    """Runs one server until `stop` is set or the restarts are used up."""

    def __init__(self, state: ServerState, stop: threading.Event) -> None:
        self.state, self.stop = state, stop
        self.options = ServeOptions.from_json(state.options)

    def run(self) -> int:
        """Returns the exit status: 0 when it was stopped, 1 when the server failed for good."""
        attempts = 0
        while True:
            reason, healthy_for = self._once()
            if self.stop.is_set():
                server_state.state_file(self.state.name).unlink(missing_ok=True)
                return 0
            attempts = 1 if healthy_for > STABLE else attempts + 1
            never_ran = self.state.restarts == 0 and healthy_for == 0
            if never_ran or attempts > self.options.max_restarts:
                self._note(phase="failed", error=reason)
                return 1
            self._note(phase="restarting", restarts=self.state.restarts + 1, error=reason)
            self.stop.wait(min(self.options.restart_delay * 2 ** (attempts - 1), MOST_DELAY))

    def _note(self, **changes: object) -> None:
        self.state = dataclasses.replace(self.state, **changes)  # type: ignore[arg-type]  # names are the fields'
        server_state.write(self.state)

    def _once(self) -> tuple[Reason, float]:
        """One life of the process: why it ended, and for how many seconds it was healthy."""
        process = self._launch()
        server = Process(process.pid, server_state.start_time(process.pid))
        healthy_at = 0.0
        try:
            self._note(server=server)
            reason = self._until_healthy(process)
            if reason is None:
                healthy_at = time.monotonic()
                self._note(phase="healthy", error=None)
                reason = self._watch(process)
        finally:
            end_group(
                server, self.options.stop_grace
            )  # also when only the leader died: its workers hold memory and accelerators
            process.poll()
        return reason, time.monotonic() - healthy_at if healthy_at else 0.0

    def _launch(self) -> subprocess.Popen[bytes]:
        state, options = self.state, self.options
        kept = adapters.remembered(state.name) if options.lora else {}
        words = command(Path(state.python), state.model, state.name, state.port, options, kept)
        with Path(state.log).open("ab") as log:
            return subprocess.Popen(
                words,
                cwd=server_state.folder(),
                env=environment(state.model, options, state.api_key),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _until_healthy(self, process: subprocess.Popen[bytes]) -> Reason | None:
        limit = start_timeout(self.options)
        deadline = time.monotonic() + limit
        while not self.stop.wait(0.2):
            if (status := process.poll()) is not None:
                return start_failure(f"the process {how_it_ended(status)}", Path(self.state.log))
            if time.monotonic() > deadline:
                return start_failure(f"it was not healthy within {limit:g} s", Path(self.state.log))
            if self._answers():
                return self._probe() if self.options.probe else None
        return start_failure("it was stopped", Path(self.state.log))

    def _answers(self, timeout: float = 5.0) -> bool:
        """Healthy, and listing the model of this name (so not someone else's server on this port)."""
        url, key = self.state.base_url, self.state.api_key
        try:
            status, _ = request(url, "/health", timeout=timeout)
            return status == 200 and self.state.name in model_names(url, api_key=key, timeout=timeout)
        except DecoderError:
            return False

    def _probe(self) -> Reason | None:
        try:
            check_constraints(self.state)
        except HearthError as error:
            return type(error).__name__, error.cause, error.remedy
        return None

    def _watch(self, process: subprocess.Popen[bytes]) -> Reason:
        answered = asked = time.monotonic()
        while not self.stop.wait(0.2):
            now = time.monotonic()
            if (status := process.poll()) is not None:
                return start_failure(f"the process {how_it_ended(status)}", Path(self.state.log))
            if now - asked > 5:
                asked = now
                if self._health_answers():
                    answered = time.monotonic()
            if now - answered > HANG:
                return start_failure(f"it did not answer for {HANG:g} s", Path(self.state.log))
        return start_failure("it was stopped", Path(self.state.log))

    def _health_answers(self) -> bool:
        try:
            return request(self.state.base_url, "/health", timeout=20.0)[0] == 200
        except ConnectFailed:
            return False


def how_it_ended(status: int) -> str:
    """A subprocess's return code in words."""
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"


def start_failure(cause: str, log: Path) -> Reason:
    """The cause together with the log's last line that names an error, which is what the reader would look for."""
    said = [line.strip() for line in log_tail(log) if ERROR_LINE.match(line)]
    # vLLM's processes each repeat the failure; the outer ones only say that an inner one failed.
    useful = [line for line in said if "Engine core initialization failed" not in line]
    detail = f": {(useful or said)[-1][:300].rstrip('. ')}" if said else ""
    return "ServerStartFailed", cause + detail, f"See {log}"


def check_constraints(state: ServerState) -> None:
    """Raises ConstraintIgnored when the server answers a constrained request of any kind with free text."""
    from decoder.client import ServedDecoder
    from decoder.probe import probe
    from decoder.types import CONSTRAINT_KINDS, Sampling

    with ServedDecoder(state.base_url, state.name, preset="vllm", api_key=state.api_key, proxy="") as decoder:
        for kind in CONSTRAINT_KINDS:
            # The decoder probes a kind before its first use, so one token of an answer is enough to make it do so.
            decoder.complete("Hello.", sampling=Sampling(max_tokens=1), constraint=probe(kind).constraint)


def _stop_when_orphaned(stop: threading.Event) -> None:
    while sys.stdin.buffer.read(1):
        pass
    stop.set()


def main(name: str, mode: str) -> int:
    """Supervise the server that the state file `name` describes."""
    if mode == "detach" and os.fork():  # the caller reaps this process; the supervisor belongs to nobody
        return 0
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if mode == "tied":
        threading.Thread(target=_stop_when_orphaned, args=(stop,), daemon=True).start()
    state = server_state.read(name)
    if state is None:
        return 1
    state = dataclasses.replace(state, supervisor=server_state.this_process())
    server_state.write(state)
    try:
        return Supervisor(state, stop).run()
    except (HearthError, OSError) as error:
        failed = dataclasses.replace(state, phase="failed", error=("ServerStartFailed", str(error), f"See {state.log}"))
        server_state.write(failed)
        return 1


if __name__ == "__main__":
    # Not sys.exit: the daemon thread may hold the lock of standard input, and the interpreter's end would wait for it.
    code = main(sys.argv[1], sys.argv[2])
    sys.stdout.flush()
    os._exit(code)
