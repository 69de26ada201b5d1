"""Crashes, hangs and memory blow-ups of a parser are errors of one file; the next file is read as ever."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rag.errors import DamagedDocument, DocumentLimit
from rag.load import Limits, load, process
from rag.load.process import PARSING

SLOW = b"<table>" + b"<tr><td>cell</td></tr>" * 300_000
"""HTML that takes many seconds and hundreds of megabytes."""
ROOT = Path(process.__file__).parents[2]


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("All is well")
    return path


@pytest.fixture
def slow(tmp_path):
    path = tmp_path / "slow.html"
    path.write_bytes(SLOW)
    return path


def child():
    """The running parsing process. There is no public name for what only tests look at."""
    return PARSING._child


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_a_hang_ends_at_its_deadline_and_the_next_file_is_read(slow, note):
    load(note)
    begun = time.monotonic()
    with pytest.raises(DocumentLimit, match=r"more than 0\.5 seconds") as raised:
        load(slow, limits=Limits(seconds=0.5))
    assert time.monotonic() - begun < 0.5 + 0.5
    assert raised.value.source == slow.as_posix()
    assert load(note).text == "All is well"


def test_a_memory_blow_up_is_a_limit_and_the_next_file_is_read(slow, note):
    with pytest.raises(DocumentLimit, match="more than 48 MiB of memory"):
        load(slow, limits=Limits(memory=48 << 20))
    assert load(note).text == "All is well"


@pytest.mark.parametrize(("signal_", "error"), [(signal.SIGSEGV, DamagedDocument), (signal.SIGKILL, DocumentLimit)])
def test_a_crash_is_an_error_of_that_file_alone(slow, note, signal_, error):
    load(note)
    pid = child().pid
    crash = threading.Timer(0.3, os.kill, (pid, signal_))
    crash.start()
    with pytest.raises(error):
        load(slow)
    crash.join()
    assert load(note).text == "All is well"
    assert child().pid != pid


def test_a_process_that_died_between_two_files_is_replaced(note):
    load(note)
    pid = child().pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid))
    assert load(note).text == "All is well"


def test_one_process_serves_many_files(tmp_path):
    pids = set()
    for number in range(20):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"file {number}")
        assert load(path).text == f"file {number}"
        pids.add(child().pid)
    assert len(pids) == 1


def test_it_is_replaced_after_so_many_files(note, monkeypatch):
    load(note)
    pid = child().pid
    monkeypatch.setattr(process, "FILES_PER_PROCESS", 1)
    load(note)
    assert child().pid != pid
    assert not is_alive(pid)


def test_threads_share_it_and_a_thread_that_ends_does_not_take_it_along(tmp_path):
    paths = [tmp_path / f"{number}.txt" for number in range(16)]
    for path in paths:
        path.write_text(path.name)
    PARSING.close()
    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(lambda path: load(path).text, paths))
    assert texts == [path.name for path in paths]
    assert is_alive(child().pid)


@pytest.mark.parametrize("limits", [Limits(file_size=5), Limits(text=5)])
def test_size_limits_are_of_the_file_and_of_the_text(note, limits):
    with pytest.raises(DocumentLimit):
        load(note, limits=limits)
    assert load(note, limits=Limits(file_size=11, text=11)).text == "All is well"


def test_a_child_that_is_not_killed_in_time_ends_itself(slow, note, monkeypatch):
    """The alarm in the child: it stands in for the parent's timer where the parent was stopped."""
    load(note)
    timer = threading.Timer
    monkeypatch.setattr(process.threading, "Timer", lambda _, stop: timer(60, stop))
    with pytest.raises(DocumentLimit, match="more than its time"):
        load(slow, limits=Limits(seconds=-1.5))  # the alarm comes two seconds later


PARENT = """
import os, sys, threading
from rag.load import load, process
load(sys.argv[1])
print(process.PARSING._child.pid, flush=True)
if sys.argv[2] != "-":
    load(sys.argv[2])
threading.Event().wait(60)
"""


@pytest.mark.parametrize("busy", [False, True])
def test_it_dies_with_its_parent_even_in_the_middle_of_a_file(note, slow, busy):
    command = [sys.executable, "-c", PARENT, str(note), str(slow) if busy else "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(0.5 if busy else 0)
        assert is_alive(pid)
        parent.kill()
    assert wait_until(lambda: not is_alive(pid), 1.5)


def test_it_is_gone_when_a_program_ends_normally(note):
    program = PARENT.replace("threading.Event().wait(60)", "")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(note), "-"], capture_output=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert wait_until(lambda: not is_alive(int(done.stdout)), 1.5)


def test_it_starts_from_any_folder_whatever_lies_there(note, tmp_path):
    """Files named like modules in the working directory or beside a script are not imported by the child."""
    for name in ("json.py", "rag.py", "html.py", "bs4.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')")
    page = tmp_path / "page.html"
    page.write_text("<p>Hello")
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from rag.load import load; print(load(sys.argv[1]).text)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(page)], capture_output=True, cwd=tmp_path, timeout=60
    )
    assert (done.stderr, done.stdout.strip()) == (b"", b"Hello")


def test_a_fork_starts_its_own(note):
    load(note)
    before = child().pid
    program = f"""
import os
from rag.load import load, process
load({str(note)!r})
ours = process.PARSING._child.pid
if not (pid := os.fork()):
    ok = load({str(note)!r}).text == "All is well" and process.PARSING._child.pid != ours
    process.PARSING.close()
    os._exit(0 if ok else 3)
assert os.waitpid(pid, 0)[1] == 0
assert load({str(note)!r}).text and process.PARSING._child.pid == ours
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert child().pid == before


def test_the_child_loads_no_model_library(note):
    load(note)
    maps = Path(f"/proc/{child().pid}/maps").read_text()
    assert "torch" not in maps
    assert "numpy" not in maps
