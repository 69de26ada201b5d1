"""Where code cannot be isolated, none is run: the error says what is missing and how to mend it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents import sandbox, sandbox_command, sandbox_seccomp, sandbox_view
from agents.sandbox import SandboxUnavailable, run_python
from decoder.errors import UsageError

ROOT = Path(__file__).parents[2]
DENIED = """
import sys
from agents.sandbox import SandboxUnavailable, run_python
try:
    print(run_python("open('ran', 'w'); print('ran')"))
except SandboxUnavailable as error:
    print(f"refused: {error}")
"""


@pytest.fixture(autouse=True)
def unprobed(monkeypatch):
    """As a process is that never ran code."""
    monkeypatch.setattr(sandbox, "_isolation", None)


def test_without_bubblewrap_nothing_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match=r"bubblewrap is not installed.*apt-get install bubblewrap") as caught:
        run_python("print(1)")
    assert isinstance(caught.value, UsageError)


def test_a_bubblewrap_that_does_not_isolate_is_found_out(monkeypatch, tmp_path):
    """One that only runs the program, as a wrapper on somebody's path might: the probe does not get its answer."""
    fake = tmp_path / "bwrap"
    fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1.0 && exit\nexec {sys.executable} -c pass\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="probing the sandbox"):
        run_python("print(1)")


@pytest.mark.skipif(not Path("/usr/bin/bwrap").exists(), reason="bubblewrap is not installed")
@pytest.mark.parametrize("lost", ["net", "user", "pid", "ipc", "uts", "seccomp", "remount"])
def test_a_sandbox_without_a_wall_is_found_out(lost, monkeypatch, sandbox_works):
    """A wall that is left out, as in a mistake of ours: seen from outside, or by the probe from inside."""
    if lost == "user" and os.geteuid():
        pytest.skip("without privileges bubblewrap makes a user namespace unasked")
    whole = sandbox_command.command

    def command(*arguments):
        words = whole(*arguments)
        word, length = {"seccomp": ("--seccomp", 2), "remount": ("--remount-ro", 2)}.get(lost, (f"--unshare-{lost}", 1))
        at = len(words) - 1 - words[::-1].index(word)
        return [*words[:at], *words[at + length :]]

    monkeypatch.setattr("agents.sandbox_box.command", command)
    with pytest.raises(SandboxUnavailable, match="probing the sandbox"):
        run_python("print(1)")


@pytest.fixture
def sandbox_works(unprobed):
    try:
        sandbox.check_sandbox()
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    sandbox._isolation = None


def test_without_libseccomp_nothing_runs(monkeypatch, sandbox_works):
    def missing(name, **options):
        raise OSError(f"{name}: cannot open shared object file")

    sandbox_seccomp.filter_program.cache_clear()
    monkeypatch.setattr(sandbox_seccomp.ctypes, "CDLL", missing)
    with pytest.raises(SandboxUnavailable, match=r"libseccomp is not installed.*libseccomp2"):
        run_python("print(1)")


def test_without_ldd_nothing_runs(monkeypatch, sandbox_works):
    sandbox_view.view.cache_clear()
    monkeypatch.setattr(sandbox_view.os, "defpath", "/nowhere")
    with pytest.raises(SandboxUnavailable, match="ldd"):
        run_python("print(1)")


def test_on_another_system_nothing_runs(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match=r"darwin has no namespaces.*Linux"):
        run_python("print(1)")


def test_where_user_namespaces_are_denied_nothing_runs(tmp_path, sandbox_works):
    """A user namespace that allows no further one stands for a machine that allows none."""
    deny = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", deny, sys.executable, "-c", DENIED]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"cannot deny user namespaces here: {done.stderr.strip()}")
    assert done.stdout.startswith("refused: probing the sandbox: bwrap: Creating new namespace failed"), done.stderr
    assert "user.max_user_namespaces" in done.stdout
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_libraries_of_glibc_and_musl_are_found():
    glibc = """\
/usr/bin/python3:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1a)
\tlibodd.so.1 => /opt/two words/libodd.so.1 (0x00007f1b)
\tlibgone.so.1 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1c)
\tstatically linked
"""
    assert sandbox_view.parse_ldd(glibc) == {
        "/lib/libm.so.6": "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib/libodd.so.1": "/opt/two words/libodd.so.1",
        "/lib64/ld-linux-x86-64.so.2": "/lib64/ld-linux-x86-64.so.2",
    }
    musl = "\t/lib/ld-musl-x86_64.so.1 (0x7f00)\n\tlibc.musl-x86_64.so.1 => /lib/ld-musl-x86_64.so.1 (0x7f00)\n"
    assert sandbox_view.parse_ldd(musl) == {
        "/lib/libc.musl-x86_64.so.1": "/lib/ld-musl-x86_64.so.1",
        "/lib/ld-musl-x86_64.so.1": "/lib/ld-musl-x86_64.so.1",
    }
