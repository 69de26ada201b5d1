"""The code tool does what a programmer expects of Python, within limits, and says how a run ended."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.sandbox import Limits, SandboxRefused, SandboxUnavailable, arun_python, check_sandbox, run_python

MIB = 2**20
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def sandbox():
    try:
        return check_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


def output(code, **options):
    result = run_python(code, **options)
    assert result.ok, result.text
    return result.stdout


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print(6 * 7)", "42"),
        ("import json, math\nprint(json.dumps({'pi': round(math.pi, 3)}))", '{"pi": 3.142}'),
        ("from decimal import Decimal\nprint(Decimal('0.1') + Decimal('0.2'))", "0.3"),
        ("import statistics as s\nprint(s.mean([1, 2, 6]))", "3"),
        (
            "import sqlite3\nc = sqlite3.connect('a.db'); c.execute('create table t(x)'); c.commit(); print('made')",
            "made",
        ),
        ("import csv, io\nprint(list(csv.reader(io.StringIO('a,b'))))", "[['a', 'b']]"),
        ("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nprint(asyncio.run(f()))", "5"),
        ("import tempfile\nwith tempfile.TemporaryFile() as f:\n    print(f.write(b'abc'))", "3"),
        ("import shutil\nopen('a', 'w').write('x'); shutil.copy2('a', 'b'); print(open('b').read())", "x"),
        ("import hashlib, zlib, bz2, lzma, ssl, ctypes, random, uuid\nprint(len(uuid.uuid4().hex))", "32"),
        ("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\nprint(P(1))", "P(x=1)"),
        ("import pickle\nclass P: pass\nprint(type(pickle.loads(pickle.dumps(P()))).__name__)", "P"),
        ("import os\nprint(os.getcwd(), os.cpu_count() > 0, os.listdir())", "/scratch True ['.null']"),
        ("import sys\nprint(sys.argv, sys.stdin.read() == '')", "['main.py'] True"),
        ("print(open(__import__('os').devnull, 'w').write('away'))", "4"),
        ("print('日本 é 🙂', len('🙂'))", "日本 é 🙂 1"),
        ("if __name__ == '__main__':\n    def f(n): return n and f(n - 1)\n    print(f(500))", "0"),
        ("# -*- coding: latin-1 -*-\nprint('é')", "é"),
        ("print('no newline at the end', end='')", "no newline at the end"),
        ("import sys\nsys.exit(0)", ""),
        ("", ""),
    ],
)
def test_python_works(code, printed):
    assert output(code).rstrip("\n") == printed


@pytest.mark.skipif(not Path("/usr/share/zoneinfo/Europe").exists(), reason="this machine has no time zones (tzdata)")
def test_time_zones_work():
    code = "import datetime as d, zoneinfo as z\nprint(d.datetime(2024, 7, 1, tzinfo=z.ZoneInfo('Europe/Berlin')))"
    assert output(code) == "2024-07-01 00:00:00+02:00\n"


def test_an_exception_shows_the_codes_own_lines():
    result = run_python("def half(x):\n    return x / 0\n\nprint('before')\nhalf(1)")
    assert (result.reason, result.exit_status, result.stdout) == ("error", 1, "before\n")
    lines = [line for line in result.stderr.splitlines() if not set(line) <= set(" ~^")]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "main.py", line 5, in <module>',
        "    half(1)",
        '  File "main.py", line 2, in half',
        "    return x / 0",
        "ZeroDivisionError: division by zero",
    ]


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("print(", "SyntaxError: '(' was never closed"),
        ("a\0b", "SyntaxError: source code string cannot contain null bytes"),
        ("input()", "EOFError: EOF when reading a line"),
        ("import threading\nthreading.Thread().start()", "RuntimeError: can't start new thread"),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy'"),
        ("raise BaseException('x')", "BaseException: x"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
)
def test_errors_are_pythons_own(code, last):
    result = run_python(code)
    assert result.reason == "error"
    assert result.stderr.rstrip("\n").rpartition("\n")[2].replace("ValueError: ", "SyntaxError: ") == last


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        ("import sys\nsys.exit(3)", "error", 3),
        ("import os\nos._exit(4)", "error", 4),
        ("import sys\nsys.exit('why')", "error", 1),
        ("x = [0] * 10**12", "memory", 117),
        ("x = []\nwhile True: x.append('x' * 10**6)", "memory", 117),
        ("import os\nos.abort()", "killed", 134),
        ("import ctypes\nctypes.string_at(0)", "killed", 139),
        ("import time\ntime.sleep(60)", "timeout", None),
        ("while True: pass", "timeout", None),
        ("while True: print('flood' * 1000)", "output", None),
    ],
)
def test_how_a_run_ended(code, reason, status):
    result = run_python(code, limits=Limits(seconds=1.0, memory=128 * MIB))
    assert (result.reason, result.exit_status) == (reason, status), result.text
    assert result.seconds < 10
    assert bool(result.notices) == (reason != "error")


def test_processor_time_is_limited_apart_from_the_clock():
    result = run_python("while True: pass", limits=Limits(seconds=30, cpu_seconds=1))
    assert (result.reason, result.exit_status) == ("timeout", 128 + 24)


def test_what_was_printed_before_a_timeout_is_kept():
    result = run_python("import time\nprint('first')\ntime.sleep(60)", limits=Limits(seconds=0.5))
    assert (result.reason, result.stdout) == ("timeout", "first\n")


def test_too_much_output_is_cut_with_a_notice_and_ends_the_run():
    result = run_python("print('x' * 5000, flush=True)\nimport time; time.sleep(60)", limits=Limits(output=1000))
    assert result.reason == "output"
    assert result.stdout == "x" * 1000 + "\n[cut after 1000 bytes]"
    assert result.seconds < 10


def test_output_up_to_the_limit_is_whole():
    assert output("print('x' * 999)", limits=Limits(output=1000)) == "x" * 999 + "\n"


def test_bytes_that_are_no_text_are_replaced():
    assert output("import sys\nsys.stdout.buffer.write(b'a\\xff')") == "a\ufffd"


def test_files_go_in_and_come_out():
    files = {"in/a.csv": b"1,2\n", "same.bin": bytes(range(256))}
    code = "import os\nos.mkdir('out'); open('out/b.txt', 'w').write(open('in/a.csv').read() * 2)"
    result = run_python(code, files=files)
    assert result.ok
    assert result.files == {"out/b.txt": b"1,2\n1,2\n"}


def test_a_file_that_was_changed_comes_back():
    assert run_python("open('a', 'ab').write(b'!')", files={"a": b"x"}).files == {"a": b"x!"}


def test_files_come_back_from_a_run_that_was_stopped():
    result = run_python("open('a', 'w').write('x')\nwhile True: pass", limits=Limits(seconds=0.5))
    assert (result.reason, result.files) == ("timeout", {"a": b"x"})


def test_files_that_are_too_big_stay_and_are_told():
    code = "open('big', 'wb').write(bytes(3000)); open('small', 'wb').write(bytes(500))"
    result = run_python(code, limits=Limits(fetch=1000))
    assert result.files == {"small": bytes(500)}
    assert result.notices == ("1 of the files written did not come back",)


def test_the_scratch_folder_is_bounded():
    code = """
total = 0
try:
    for n in range(99):
        total += open(f"f{n}", "wb", buffering=0).write(bytes(100_000))
except OSError as error:
    print(error.strerror)
print(total <= 1 << 20)
"""
    assert output(code, limits=Limits(scratch=MIB)) == "No space left on device\nTrue\n"


def test_too_many_files_end_the_run():
    result = run_python("import itertools\nfor n in itertools.count(): open(str(n), 'w')", limits=Limits(files=50))
    assert result.reason == "output"
    assert len(result.files) <= 50


@pytest.mark.parametrize(
    "name",
    ["/etc/x", "../x", "a/../b", "", ".", "a//b", "a/", "./a", "x\ny", "x\0", "é" * 200, "a/" * 20 + "b", "\ud800"],
)
def test_names_that_are_no_plain_paths_are_refused(name):
    with pytest.raises(SandboxRefused, match="plain relative path"):
        run_python("", files={name: b""})


@pytest.mark.parametrize("files", [{"a": bytes(2 * MIB)}, {"a": b"", "a/b": b""}])
def test_files_that_do_not_fit_are_refused(files):
    with pytest.raises(SandboxRefused, match="could not be written"):
        run_python("", files=files, limits=Limits(scratch=MIB))


def test_code_that_is_too_long_is_refused():
    with pytest.raises(SandboxRefused, match="characters"):
        run_python(" " * (MIB + 1))


@pytest.mark.parametrize(
    "limit", [{"seconds": 0}, {"seconds": float("nan")}, {"memory": MIB}, {"cpu_seconds": 0}, {"output": -1}]
)
def test_limits_that_no_run_could_keep_are_refused(limit):
    with pytest.raises(SandboxRefused, match=next(iter(limit))):
        Limits(**limit)


def test_the_least_memory_that_is_allowed_is_enough():
    assert output("import json\nprint(1)", limits=Limits(memory=64 * MIB)) == "1\n"


def test_runs_share_nothing():
    run_python("open('left', 'w').write('x')\nimport builtins; builtins.left = 1")
    assert output("import os, builtins\nprint('left' in os.listdir(), hasattr(builtins, 'left'))") == "False False\n"


async def test_many_at_once_keep_apart():
    runs = [arun_python(f"import time\ntime.sleep(0.2)\nprint({n})\nopen('n', 'w').write('{n}')") for n in range(8)]
    for n, result in enumerate(await asyncio.gather(*runs)):
        assert (result.stdout, result.files) == (f"{n}\n", {"n": str(n).encode()})


def test_a_run_from_a_thread_that_ends_is_not_cut_short():
    """The kernel ties a sandbox to the thread that started it, which must not be one that a caller owns."""
    results = []
    threads = [threading.Thread(target=lambda: results.append(output("print(1)"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == ["1\n"] * 3


def test_no_descriptor_is_left_open():
    count = lambda: len(list(Path("/proc/self/fd").iterdir()))  # noqa: E731
    output("print(1)")
    before = count()
    for code in ("print(1)", "1/0", "while True: print('x' * 9999)"):
        run_python(code)
    assert count() == before


def test_the_text_for_a_model_says_it_all():
    result = run_python("print('out')\nopen('a', 'w').write('xy')\n1/0")
    lines = result.text.splitlines()
    assert (lines[0], lines[-2], lines[-1]) == ("out", "ZeroDivisionError: division by zero", "[file a: 2 bytes]")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=st.one_of(st.text(st.characters(exclude_categories=())), st.text("()[]{}:'\"\\\n =0f@#\t\0\ud800")))
def test_any_string_is_code_that_ends_with_a_reason(code):
    result = run_python(code, limits=Limits(seconds=5))
    assert result.reason in ("ok", "error", "timeout", "memory", "killed", "output")
    assert isinstance(result.text, str)


def test_as_an_ordinary_user(tmp_path):
    """With the system's Python: a home folder's one is not readable to another user."""
    code = "from agents.sandbox import *; r = run_python('import os; print(os.getuid())'); print(r.stdout, r.stderr)"
    python = "/usr/bin/python3"
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", python, "-B", "-c", code]
    try:
        done = subprocess.run(
            command, cwd="/", env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no setpriv (util-linux)")
    if "setpriv" in done.stderr or "No module named 'agents'" in done.stderr or not Path(python).exists():
        pytest.skip(f"cannot become an ordinary user with a Python of the system: {done.stderr[-200:]}")
    if "SyntaxError" in done.stderr or "cannot import name" in done.stderr:
        pytest.skip(f"the system's Python is too old: {sys.version}")
    assert done.stdout == "1000\n \n", done.stderr
