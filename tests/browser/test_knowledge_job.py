"""The job "index": real documents in a real process, each failure told with its reason, killed and taken up again."""

import itertools
import json
import os
import signal
import time

import pytest

from decoder.errors import UsageError
from rag.embed import open_embedder
from rag.knowledge import KnowledgeBase
from rag.settings import rag_settings
from ui.browser import jobs
from ui.browser.job_process import Running
from ui.browser.knowledge_job import run
from ui.browser.knowledge_pace import Pace
from ui.browser.knowledge_uploads import EXAMPLE, keep, uploads_folder
from ui.browser.ownership import prefix_of


class Upload:
    def __init__(self, name, data):
        self.name, self.data, self.size = name, data, len(data)

    def getvalue(self):
        return self.data


@pytest.fixture(scope="module")
def embedder():
    return open_embedder(rag_settings())


@pytest.fixture
def here(home, embedder, monkeypatch):
    """run("index" spec) in this process, as a job of a person."""

    monkeypatch.setattr("rag.embed.open_embedder", lambda settings: embedder)  # loading it takes its time

    def here(person="", **spec):
        folder = home / "a-job"
        folder.mkdir(exist_ok=True)
        (folder / "job.json").write_text(json.dumps({"person": person}))
        return run({"kb": "kb", **spec}, Running(folder)), json.loads((folder / "progress.json").read_text())

    return here


def spec(kb, paths, **more):
    return {"kb": kb, "paths": [str(path) for path in paths], "urls": [], "rebuild": False, **more}


def test_a_job_that_was_stopped_or_killed_goes_on_where_it_was(home):
    pdf = (EXAMPLE / "04-serving.pdf").read_bytes()
    notes = [Upload(f"note-{n}.md", f"# Note {n}\n\nThe number of this note is {n}.\n".encode()) for n in range(80)]
    paths = keep([Upload("serving.pdf", pdf), Upload("broken.pdf", b"%PDF-1.4 and then nothing"), *notes], "kb")
    stopped = jobs.start("index", "Reading", spec("kb", paths))
    until(lambda: jobs.find(stopped.id).progress.get("searchable"), stopped)
    jobs.stop(stopped)
    assert jobs.wait(stopped, 60).state == "stopped", jobs.output(stopped)
    with KnowledgeBase("kb") as base:
        read = len(base.documents())
    assert read > 0
    job = jobs.start("index", "Reading", spec("kb", paths))
    until(lambda: jobs.find(job.id).progress.get("phase") == "embedding", job)
    os.killpg(int((job.folder / "pid").read_text()), signal.SIGKILL)
    killed = jobs.wait(job, 10)
    assert killed.state == "killed"
    with KnowledgeBase("kb") as base:
        before = len(base.documents())
    assert before >= read
    again = jobs.wait(jobs.start(killed.kind, killed.title, killed.spec), 120)
    assert again.state == "done", jobs.output(again)
    assert again.result["unchanged"] >= before
    [(source, reason)] = again.result["failed"].items()
    assert source.endswith("/broken.pdf")
    assert "loading" in reason
    with KnowledgeBase("kb") as base:
        assert len(base.documents()) == 81
        assert not any(entry.pending for entry in base.documents().values())
        assert base.search("the number of note 7")


def until(met, job):
    deadline = time.monotonic() + 120
    while not met():
        assert jobs.find(job.id).going, jobs.output(job)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_progress_says_what_was_read_and_failed(here, tmp_path):
    paths = keep([Upload("a.md", b"# Lamps\n\nThe lamp is red."), Upload("b.pdf", b"%PDF-1.4")], "kb")
    report, told = here(paths=paths)
    assert (len(report["added"]), report["passages"]) == (1, 1)
    assert (told["phase"], told["done"], told["total"], told["passages"]) == ("embedding", 1, 1, 1)
    assert [source.rpartition("/")[2] for source in told["failed"]] == ["b.pdf"]


def test_documents_are_read_again_verified_and_mended(here):
    paths = keep([Upload("a.md", b"# Lamps\n\nThe lamp is red."), Upload("b.md", b"# Cups\n\nThe cup is blue.")], "kb")
    here(paths=paths)
    report, _ = here(mode="reread", sources=[str(paths[0])])
    assert report["updated"] == (str(paths[0]),)
    report, _ = here(mode="reread")
    assert sorted(report["updated"]) == sorted(map(str, paths))
    assert here(mode="verify")[0] == {"problems": []}
    assert here(mode="repair")[0]["lost"] == ()


def test_a_new_version_of_an_upload_takes_the_place_of_the_old_one(here):
    here(paths=keep([Upload("a.md", b"The lamp is red.")], "kb"))
    report, _ = here(paths=keep([Upload("a.md", b"The lamp is green.")], "kb"))
    assert len(report["updated"]) == 1
    with KnowledgeBase("kb") as base:
        assert [hit.passage.text for hit in base.search("lamp")] == ["The lamp is green."]


def test_where_people_sign_in_only_their_own_uploads_are_read(here, home, tmp_path):
    private = tmp_path / "private.md"
    private.write_text("A secret.")
    anns = {"person": "ann", "kb": f"{prefix_of('ann')}kb"}
    [other] = keep([Upload("a.md", b"Not yours.")], "other")
    [mine] = keep([Upload("a.md", b"Mine.")], anns["kb"])
    link = uploads_folder() / anns["kb"] / "link.md"
    link.symlink_to(private)
    for path in (private, other, link, f"{mine.parent}/../../other/{other.parent.name}/a.md", "/etc", "~/.ssh"):
        with pytest.raises(UsageError, match="not among the uploads"):
            here(**anns, paths=[str(path)])
    assert here(**anns, paths=[str(mine)])[0]["added"] == (str(mine),)
    assert here(kb=anns["kb"], paths=[str(private)])[0]["added"] == (str(private),)
    assert here(**anns, paths=[str(private)])[0]["unchanged"] == 1, "it is in the knowledge base already"
    with pytest.raises(UsageError, match="no knowledge base of this name"):
        here(person="ann", kb="other", paths=[str(other)])


@pytest.mark.parametrize("wrong", [{"kb": "../x"}, {"mode": "delete"}, {}, {"urls": ["http://a"], "rebuild": True}])
def test_what_cannot_be_meant_is_refused(here, wrong):
    with pytest.raises(UsageError):
        here(**wrong)


def test_an_address_that_cannot_be_fetched_is_listed(here):
    report, _ = here(urls=["http://127.0.0.1:9/secret"])
    assert list(report["failed"]) == ["http://127.0.0.1:9/secret"]


def test_the_rate_does_not_jump_and_gives_the_time_that_is_left():
    clock = itertools.count(0, 1.0)
    pace = Pace(lambda: next(clock))
    pace.at("reading", 0, 100)
    assert pace.remaining is None
    for done in (10, 20, 30):
        pace.at("reading", done, 100)
    assert pace.rate == pytest.approx(10)
    assert pace.remaining == pytest.approx(7)
    pace.at("reading", 70, 100)
    assert 10 < pace.rate < 20
    pace.at("embedding", 0, 50)
    assert pace.rate is None
