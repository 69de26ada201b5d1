"""The file tool cannot leave its folder: paths, links, devices, pipes, and links that appear in between."""

import os
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.builtin import read_files

SECRET = "the secret of the house"


@pytest.fixture
def root(tmp_path):
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "ok.txt").write_text("fine")
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "inside-too").mkdir()
    (tmp_path / "inside-too" / "secret.txt").write_text(SECRET)
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    (inside / "up").symlink_to(tmp_path)
    (inside / "sub" / "relative").symlink_to("../../secret.txt")
    (inside / "root").symlink_to("/")
    (inside / "loop").symlink_to("loop")
    (inside / "fd").symlink_to("/proc/self/fd")
    (inside / ".hidden").write_text(SECRET)
    os.mkfifo(inside / "pipe")
    (inside / "null").symlink_to("/dev/null")
    return inside


def ask(root, **arguments):
    made = read_files(root)
    return made(**made.validate(arguments))


PATHS = [
    "../secret.txt",
    "sub/../../secret.txt",
    "./../secret.txt",
    "..",
    "../inside-too/secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "~/secret.txt",
    "~root/x",
    "link.txt",
    "up/secret.txt",
    "sub/relative",
    "root/etc/passwd",
    "loop",
    "fd/0",
    "pipe",
    "null",
    ".hidden",
    "sub/.ssh",
    "ok.txt\0",
    "..\\secret.txt",
    "ok.txt/",
    "ok.txt/../../secret.txt",
    "a" * 5000,
    "sub/" * 2000 + "x",
    "",
]


@pytest.mark.parametrize("action", ["read", "list", "search"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:30] or "empty")
def test_no_path_leads_out(root, path, action):
    if path in ("", "ok.txt/") and action != "read":
        return
    if path == "ok.txt/":
        assert "fine" in ask(root, action="read", path=path)
        return
    with pytest.raises(ValueError) as caught:
        ask(root, action=action, path=path, text="secret")
    assert SECRET not in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.sampled_from(["..", ".", "/", "//", "sub", "up", "link.txt", "root", "etc", "secret.txt", "\\", "~", "a"]),
        max_size=8,
    ).map("/".join)
)
def test_no_made_up_path_leads_out(root, path):
    for action in ("read", "list", "search"):
        try:
            assert SECRET not in ask(root, action=action, path=path, text="secret")
        except ValueError as error:
            assert SECRET not in str(error)


def test_a_listing_and_a_search_follow_no_link(root):
    assert ask(root, action="list") == "ok.txt (4 bytes)"
    assert ask(root, action="search", text="secret") == "Nothing was found."


def test_devices_and_sockets_are_no_files(root, monkeypatch):
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(ValueError, match="cannot be opened"):
            ask(root, action="read", path="socket")
    with pytest.raises(ValueError, match="no file"):
        ask("/dev", action="read", path="zero")


def test_a_pipe_does_not_hold_up_the_opening(root):
    done = threading.Event()

    def read():
        with pytest.raises(ValueError, match="no file"):
            ask(root, action="read", path="pipe")
        done.set()

    threading.Thread(target=read, daemon=True).start()
    assert done.wait(10)


def test_a_link_that_appears_between_two_looks_is_not_followed(root, tmp_path):
    """A folder is exchanged for a link out, again and again, while it is read."""
    (root / "swap").mkdir()
    (root / "swap" / "secret.txt").write_text("decoy")
    stop = threading.Event()

    def swap():
        (tmp_path / "out").symlink_to(tmp_path)
        while not stop.is_set():
            os.rename(root / "swap", tmp_path / "parked")
            os.rename(tmp_path / "out", root / "swap")
            os.rename(root / "swap", tmp_path / "out")
            os.rename(tmp_path / "parked", root / "swap")

    swapper = threading.Thread(target=swap, daemon=True)
    swapper.start()
    seen = []
    try:
        for _ in range(300):
            for action in ("read", "search"):
                try:
                    seen.append(
                        ask(root, action=action, path="swap/secret.txt" if action == "read" else "swap", text="e")
                    )
                except (ValueError, OSError) as error:
                    seen.append(str(error))
    finally:
        stop.set()
        swapper.join(10)
    assert not any(SECRET in text for text in seen)
    assert any("decoy" in text for text in seen)
    assert any("should be" in text or "link" in text or "no swap" in text for text in seen)


def test_no_descriptor_is_left_open(root):
    before = len(os.listdir("/proc/self/fd"))
    for path in PATHS:
        for action in ("read", "list", "search"):
            try:
                ask(root, action=action, path=path, text="secret")
            except ValueError:
                continue
    assert len(os.listdir("/proc/self/fd")) <= before + 1
