"""Files are taken from a folder that somebody hostile filled: no link is followed, nothing blocks, all is bounded."""

import os

import pytest

from agents.sandbox_scratch import take_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "secret").write_text("secret")
    descriptor = os.open(tmp_path / "scratch", os.O_RDONLY | os.O_DIRECTORY)
    yield tmp_path / "scratch", descriptor
    os.close(descriptor)


def take(descriptor, fetch=1000, files=100, known=()):
    return take_files(descriptor, fetch=fetch, files=files, known=dict(known))


def test_plain_files_come_with_their_paths(folder):
    path, descriptor = folder
    (path / "a").mkdir()
    (path / "a/b.txt").write_bytes(b"x")
    (path / "empty").write_bytes(b"")
    assert take(descriptor) == ({"a/b.txt": b"x", "empty": b""}, ())


@pytest.mark.parametrize("target", ["../secret", "secret", "..", "/", "/etc/passwd", "loop"])
def test_a_link_is_not_followed(folder, target):
    path, descriptor = folder
    (path / "loop").symlink_to(target)
    taken, notices = take(descriptor)
    assert taken == {}
    assert notices == ("1 of the files written did not come back",)


def test_a_fifo_does_not_block(folder):
    path, descriptor = folder
    os.mkfifo(path / "pipe")
    (path / "z").write_bytes(b"z")
    assert take(descriptor)[0] == {"z": b"z"}


def test_names_that_would_confuse_a_reader_stay(folder):
    path, descriptor = folder
    for name in (b"a\nb", b"\x1b[2J", b"\xff", "\u202e".encode()):
        (path / os.fsdecode(name)).write_bytes(b"x")
    assert take(descriptor) == ({}, ("4 of the files written did not come back",))


def test_bytes_are_bounded_in_all(folder):
    path, descriptor = folder
    for name in "abcd":
        (path / name).write_bytes(bytes(400))
    taken, notices = take(descriptor, fetch=1000)
    assert (list(taken), notices) == (["a", "b"], ("2 of the files written did not come back",))


def test_a_sparse_giant_is_not_read(folder):
    path, descriptor = folder
    with open(path / "giant", "wb") as file:
        file.truncate(1 << 40)
    assert take(descriptor)[0] == {}


def test_the_number_is_bounded(folder):
    path, descriptor = folder
    for n in range(300):
        (path / f"{n:03}").write_bytes(b"x")
    taken, notices = take(descriptor, files=10)
    assert len(taken) == 10
    assert notices == ("more than 1 of the files written did not come back",)


def test_depth_is_bounded(folder):
    path, descriptor = folder
    at = path
    for _ in range(40):
        at = at / "d"
        at.mkdir()
    (at / "deep").write_bytes(b"x")
    (path / "z").write_bytes(b"z")
    assert take(descriptor) == ({"z": b"z"}, ("1 of the files written did not come back",))


def test_what_went_in_and_did_not_change_does_not_come_back(folder):
    path, descriptor = folder
    (path / "same").write_bytes(b"same")
    (path / "other").write_bytes(b"after")
    assert take(descriptor, known={"same": b"same", "other": b"before"}) == ({"other": b"after"}, ())
