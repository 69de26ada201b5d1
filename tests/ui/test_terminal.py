"""The chat in a real terminal: real keys, a real knowledge base, and a server that speaks slowly."""

import contextlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pexpect = pytest.importorskip("pexpect", reason="pexpect is not installed (extra dev)")

ROOT = Path(__file__).resolve().parents[2]
PACE = 0.05
START = 60  # seconds: PyTorch is imported, on a machine that may be busy
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning"),  # pexpect forks; the child executes at once
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals"),
]


class Speaker(BaseHTTPRequestHandler):
    """Answers questions about the rent in one sentence, and every other one with words without end."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.set()
        if self.server.hangs:
            self.server.hung_up.wait(START)
        body = json.dumps({"object": "list", "data": [{"id": "little", "owned_by": "vllm"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            self.send_error(404)
            return
        short = "How much" in json.dumps(body["messages"][-1])
        words = ["The", "monthly", "rent", "is", "900", "euros", "[1]."] if short else ["word"] * 2000
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for number, word in enumerate(words):
                self.event(
                    {"index": 0, "delta": {"role": "assistant", "content": f"{word}{number if not short else ''} "}}
                )
                time.sleep(PACE)
            self.event({"index": 0, "delta": {}, "finish_reason": "stop"})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.hung_up.set()
        self.close_connection = True

    def event(self, choice):
        chunk = {"id": "1", "object": "chat.completion.chunk", "model": "little", "choices": [choice]}
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def speaker():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Speaker)
    server.asked, server.hung_up, server.hangs = threading.Event(), threading.Event(), False
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.hung_up.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def documents(house):
    folder = house / "documents"
    folder.mkdir()
    (folder / "lease.md").write_text("# Lease\n\nThe flat has three rooms.\n\nThe monthly rent is 900 euros.\n")
    return folder


@pytest.fixture
def terminal(house):
    """Opens `hearth` in a terminal of 100 columns."""
    children = []

    def open_terminal(*arguments):
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "INPUTRC", "NO_COLOR")}
        environment |= {"TERM": "xterm", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        child = pexpect.spawn(
            sys.executable,
            ["-m", "ui.cli", *map(str, arguments)],
            cwd=str(house),
            env=environment,
            dimensions=(40, 100),
            encoding="utf-8",
            timeout=20,
        )
        children.append(child)
        return child

    yield open_terminal
    for child in children:
        with contextlib.suppress(OSError):
            child.close(force=True)


def ended(child):
    child.expect(pexpect.EOF, timeout=20)
    child.close()
    return child.exitstatus


@pytest.mark.slow
def test_ctrl_c_stops_the_answer_and_not_the_chat(terminal, documents, speaker):
    chat = terminal("chat", "--docs", documents, "--base-url", speaker.url)
    chat.expect("Talking with the knowledge base documents-", timeout=START)
    chat.expect("\n> ")
    chat.sendline("Tell me about the flat and its three rooms.")
    chat.expect("word3 ")  # it is being written, long before its end
    asked = time.monotonic()
    chat.sendintr()
    chat.expect("stopped; Ctrl-D leaves")
    assert time.monotonic() - asked < 2
    assert speaker.hung_up.wait(2), "the server was left to go on"
    chat.expect("\n> ")
    chat.sendline("How much is the monthly rent?")
    chat.expect("The monthly rent is 900 euros")
    chat.expect("Sources")
    chat.expect(r"\[1\] .*lease.md, line")
    chat.expect("> ")
    chat.sendintr()  # at the prompt it stops nothing, and the chat stays
    chat.expect("Ctrl-D leaves")
    chat.expect("> ")
    chat.sendline("/open 1")
    chat.expect("The flat has three rooms")
    chat.expect("> ")
    chat.sendeof()
    assert ended(chat) == 0


def test_keys_history_and_completion(terminal, house):
    history = house / "home" / "chat_history"
    history.parent.mkdir()
    history.write_text("Where is the key?\n/help\n")
    chat = terminal("chat")
    chat.expect("It is empty so far: hearth index", timeout=START)
    chat.expect("No decoder is set")
    chat.expect("> ")
    chat.send("\x1b[A\x1b[A")  # arrow up, twice
    chat.expect(r"Where is the key\?")
    chat.send("\x15/so\t\r")  # the line cleared, then a command completed
    chat.expect("/sources")
    chat.expect("Nothing was answered yet")
    chat.sendline("/quit")
    assert ended(chat) == 0
    assert history.read_text().splitlines() == ["Where is the key?", "/help", "/sources", "/quit"]


def test_ctrl_c_outside_the_chat_ends_a_command_with_130(terminal, speaker, monkeypatch):
    speaker.hangs = True
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", speaker.url)
    doctor = terminal("doctor")
    assert speaker.asked.wait(START)
    asked = time.monotonic()
    doctor.sendintr()
    assert ended(doctor) == 130
    assert time.monotonic() - asked < 5
