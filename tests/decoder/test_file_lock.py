"""A lock on a file is waited for, but never for ever, and ends with whoever holds it."""

import threading
import time

import pytest

from decoder import adapters
from decoder.file_lock import take
from decoder.server_errors import AdapterFailed


def test_it_is_had_by_one_at_a_time_and_waited_for(tmp_path):
    path = tmp_path / "lock"
    first, second = path.open("w"), path.open("w")
    assert take(first, 0)
    began = time.monotonic()
    assert not take(second, 0.1)
    assert time.monotonic() - began >= 0.1
    threading.Timer(0.1, first.close).start()
    assert take(second, 20)
    second.close()


def test_adapters_of_a_server_are_noted_by_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    monkeypatch.setattr(adapters, "LOCK_SECONDS", 0.1)
    adapters.remember("served", "v1", tmp_path)
    with (adapters.folder() / "served" / ".lock").open("w") as held:
        assert take(held, 0)
        with pytest.raises(AdapterFailed, match="another process has been at the adapters of served"):
            adapters.remember("served", "v2", tmp_path)
    adapters.remember("served", "v2", tmp_path)
    assert set(adapters.remembered("served")) == {"v1", "v2"}
