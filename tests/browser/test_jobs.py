"""Jobs: processes that outlive a page, are found again, and whose end is never guessed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from decoder.errors import ServiceError, UsageError
from ui.browser import job_kinds, jobs

HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(home, monkeypatch):
    """start(do="give", …) -> a job of the tests' own kind, in a real process."""
    site = home / "site"
    site.mkdir()
    # A process of its own knows no patch of ours: what Python runs at start puts the kind in.
    (site / "sitecustomize.py").write_text(
        "from ui.browser.job_kinds import KINDS\nKINDS['test'] = 'tests.browser.jobs_support'\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(HOUSE))))
    return lambda title="a job", person="", **spec: jobs.start("test", title, spec, person)


def until(job, seconds=20, **told):
    """The job once it has told this."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = jobs.find(job.id)
        if all(now.progress.get(name) == value for name, value in told.items()):
            return now
        time.sleep(0.02)
    raise AssertionError(jobs.output(job))


def test_a_job_gives_its_result_and_keeps_what_it_printed(start):
    job = start(do="give", a=2, b=3)
    assert job.going
    ended = jobs.wait(job, 20)
    assert (ended.state, ended.result) == ("done", {"sum": 5})
    assert ended.progress == {"begun": True}
    assert "printed on the way" in jobs.output(ended)


def test_an_error_of_the_house_is_told_with_its_remedy(start):
    ended = jobs.wait(start(do="refuse"), 20)
    assert ended.state == "failed"
    assert ended.error == {"step": "doing it", "cause": "it cannot be done", "remedy": "Do something else"}


def test_a_bug_is_told_as_one_and_its_traceback_is_in_the_output(start):
    ended = jobs.wait(start(do="break"), 20)
    assert (ended.state, ended.error["step"]) == ("failed", "a bug in Hearth")
    assert "Traceback" in jobs.output(ended)


def test_training_that_a_signal_ended_after_a_checkpoint_is_stopped_and_not_failed(start):
    ended = jobs.wait(start(do="checkpoint"), 20)
    assert (ended.state, ended.error["remedy"]) == ("stopped", "Go on with --resume")


def test_a_job_is_stopped(start):
    job = until(start(do="sleep", seconds=60), begun=True)
    jobs.stop(job)
    assert jobs.wait(job, 20).state == "stopped"


def test_a_killed_job_is_shown_as_such_and_can_be_removed(start):
    job = until(start(do="sleep", seconds=60), begun=True)
    with pytest.raises(UsageError, match="still running"):
        jobs.remove(job)
    jobs.kill(job)
    assert jobs.wait(job, 20).state == "killed"
    jobs.remove(job)
    assert jobs.every() == []


def test_a_job_lives_on_when_who_started_it_is_killed(start, home):
    code = (
        "from ui.browser import jobs\nimport time\n"
        "print(jobs.start('test', 'long', {'do': 'sleep', 'seconds': 60}).id, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=HOUSE) as starter:
        job = jobs.find(starter.stdout.readline().strip())
        until(job, begun=True)
        starter.send_signal(signal.SIGKILL)
    before = jobs.find(job.id).progress.get("number", 0)
    deadline = time.monotonic() + 10
    while jobs.find(job.id).progress.get("number", 0) <= before + 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    now = jobs.find(job.id)
    assert now.state == "running"
    assert now.progress["number"] > before + 20
    jobs.kill(now)


def test_a_person_finds_their_own_jobs_alone(start):
    ann, bob = start(do="give", a=1, b=1, person="ann"), start(do="give", a=1, b=1, person="bob")
    assert [job.id for job in jobs.every("ann")] == [ann.id]
    assert {job.id for job in jobs.every()} == {ann.id, bob.id}
    with pytest.raises(UsageError, match="no such job"):
        jobs.find(bob.id, "ann")
    for job in (ann, bob):
        jobs.wait(job, 20)


def test_jobs_of_one_second_are_in_order_too(home, monkeypatch):
    monkeypatch.setattr(jobs, "_spawn", lambda folder: None)
    monkeypatch.setenv("HEARTH_UI_MAX_JOBS", "99")
    begun = [jobs.start("draw", "a job", {}).id for _ in range(12)]
    assert [job.id for job in jobs.every()] == begun[::-1]


@pytest.mark.parametrize("job_id", ["../x", "", "20260101-000000-abcdef/..", "20260101-000000-abcdef"])
def test_an_id_that_is_none_is_refused(home, job_id):
    with pytest.raises(UsageError, match="no such job"):
        jobs.find(job_id)


def test_so_many_jobs_run_as_the_settings_allow(start, monkeypatch):
    monkeypatch.setenv("HEARTH_UI_MAX_JOBS", "1")
    job = until(start(do="sleep", seconds=60), begun=True)
    with pytest.raises(UsageError, match="1 jobs run already"):
        start(do="give", a=1, b=1)
    jobs.kill(job)
    jobs.wait(job, 20)


def test_a_process_that_never_came_up_counts_as_killed(home, monkeypatch):
    folder = jobs.jobs_folder() / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    asked = {"kind": "test", "title": "t", "person": "", "started": time.time() - 100, "spec": {}}
    (folder / "job.json").write_text(json.dumps(asked))
    assert jobs.find(folder.name).state == "killed"


def test_every_kind_has_its_module():
    import importlib

    for module in job_kinds.KINDS.values():
        assert callable(importlib.import_module(module).run)


def test_two_that_start_at_once_count_each_other(start, monkeypatch):
    monkeypatch.setenv("HEARTH_UI_MAX_JOBS", "1")
    monkeypatch.setattr(jobs, "_spawn", lambda folder: None)
    together, started = threading.Barrier(8), []

    def press():
        together.wait(10)
        with contextlib.suppress(UsageError):
            started.append(start(do="give"))

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(started) == 1


def test_a_job_that_cannot_be_started_leaves_nothing_behind(start, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs, "_spawn", full)
    with pytest.raises(ServiceError, match="No space left"):
        start(do="give")
    assert jobs.every() == []
    assert not [each for each in jobs.jobs_folder().iterdir() if each.is_dir()]


def test_what_others_jobs_told_is_not_even_read(start, monkeypatch):
    monkeypatch.setattr(jobs, "_spawn", lambda folder: None)
    mine, others = start(person="ann"), start(person="bob")
    read, real = [], jobs.read_object
    monkeypatch.setattr(jobs, "read_object", lambda file: read.append(file) or real(file))
    assert [job.id for job in jobs.every("ann")] == [mine.id]
    assert {file.name for file in read if file.parent == others.folder} == {"job.json"}
