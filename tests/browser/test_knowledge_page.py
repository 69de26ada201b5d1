"""The page "knowledge" in each of its states: empty, reading, filled, failed, killed; and each person's own."""

import json
import time

import pytest

from rag.embed import open_embedder
from rag.knowledge import KnowledgeBase
from rag.settings import rag_settings
from ui.browser import jobs, opened, person
from ui.browser.knowledge_uploads import keep, uploads_folder

LAMP = b"# Lamps\n\nThe lamp by the door needs two batteries of the large kind.\n"
CUP = b"# Cups\n\nThe cup on the shelf is blue and holds a pint of tea.\n"


class Upload:
    def __init__(self, name, data):
        self.name, self.data, self.size = name, data, len(data)

    def getvalue(self):
        return self.data


@pytest.fixture(scope="module")
def embedder():
    return open_embedder(rag_settings())


@pytest.fixture
def base(home, embedder):
    """base("kb", {name: bytes}) -> a knowledge base with these uploads read, open in this process."""

    def base(name="kb", files=None):
        opened._bases[name] = KnowledgeBase(name, embedder=embedder)
        given = {"lamp.md": LAMP, "cup.md": CUP} if files is None else files
        opened._bases[name].add(keep([Upload(*each) for each in given.items()], name))
        return opened._bases[name]

    yield base
    for each in opened._bases.values():
        each.close()


@pytest.fixture
def ended(home, monkeypatch):
    """ended("failed", spec...) -> a job that has ended so; "killed" has ended without a word."""
    monkeypatch.setattr(jobs, "_spawn", lambda folder: None)

    def ended(state, person="", result=None, error=None, progress=None, **spec):
        job = jobs.start("index", "Reading into kb", {"kb": "kb", "mode": "add", **spec}, person)
        asked = json.loads((job.folder / "job.json").read_text())
        (job.folder / "job.json").write_text(json.dumps({**asked, "started": time.time() - 60}))
        (job.folder / "progress.json").write_text(json.dumps(progress or {}))
        if state != "killed":
            told = {"state": state, "at": time.time(), "result": result or {}, "error": error or {}}
            (job.folder / "ended.json").write_text(json.dumps(told))
        return jobs.find(job.id)

    return ended


@pytest.fixture
def sign_in(home, monkeypatch):
    """sign_in("ann"): a trusted proxy says that it is her."""
    monkeypatch.setenv("HEARTH_UI_TRUSTED_HEADER", "X-User")

    def sign_in(name):
        monkeypatch.setattr(person, "_header", lambda: name)
        return person.person()

    return sign_in


def texts(page):
    kinds = (page.text, page.caption, page.markdown, page.info, page.warning, page.error, page.success, page.subheader)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def test_on_an_empty_home_the_one_next_step_is_to_name_it_and_drop_files(open_page):
    page = open_page("knowledge")
    assert page.text_input(key="knowledge-name").value == "documents"
    assert [uploader.label for uploader in page.file_uploader] == ["Drop files here", "A folder"]
    assert [button.label for button in page.button] == ["Create and read", "Try the example"]
    page.button(key="knowledge-create").click().run()
    assert page.error[0].value.replace("\\", "") == "Reading documents: there is nothing to read yet"
    assert "Drop a file" in texts(page)
    assert jobs.every() == []


def test_an_impossible_name_is_refused_before_anything_is_kept(open_page):
    page = open_page("knowledge")
    page.text_input(key="knowledge-name").set_value("../etc")
    page.file_uploader[0].set_value(("a.md", LAMP, "text/markdown"))
    page.button(key="knowledge-create").click().run()
    assert "cannot be a name" in page.error[0].value.replace("\\", "")
    assert not uploads_folder().exists()


def test_files_are_dropped_read_and_listed_with_what_could_not_be_read(open_page):
    page = open_page("knowledge")
    page.text_input(key="knowledge-name").set_value("notes")
    page.file_uploader[0].set_value(
        [
            ("lamp.md", LAMP, "text/markdown"),
            ("broken.pdf", b"%PDF-1.4", "application/pdf"),
            ("tool.exe", b"MZ\0", "application/octet-stream"),
        ]
    )
    page.button(key="knowledge-create").click().run()
    assert not page.exception
    assert "tool.exe: Hearth does not read .exe." in texts(page)
    [job] = jobs.every()
    assert page.selectbox[0].value == "notes"
    if job.going:
        assert page.button(key=f"knowledge-stop-{job.id}").label == "Stop"
    assert jobs.wait(job, 120).state == "done", jobs.output(job)
    page.run()
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["Name"]) == ["broken.pdf", "lamp.md"]
    assert [status[2:] for status in table["Status"]] == ["could not be read", "ready"]
    assert "Last time: 1 added, 1 could not be read. 1 passages" in texts(page)
    assert "broken.pdf: " in texts(page)
    assert str(uploads_folder()) not in texts(page)


def test_addresses_and_paths_are_checked_before_they_are_read(open_page, base, ended):
    base()
    page = open_page("knowledge")
    page.text_area(key="knowledge-urls-0").set_value("https://example.org/\nfile:///etc/passwd")
    page.button(key="knowledge-read").click().run()
    assert "file:///etc/passwd is no web address" in texts(page)
    page.text_area(key="knowledge-urls-0").set_value("https://example.org/")
    page.text_input(key="knowledge-path-0").set_value("/there/is/nothing")
    page.button(key="knowledge-read").click().run()
    assert "/there/is/nothing is not there" in texts(page)
    page.text_input(key="knowledge-path-0").set_value("~nobody-is-called-so/x")
    page.button(key="knowledge-read").click().run()
    assert "nobody-is-called-so/x is not there" in texts(page)
    page.text_area(key="knowledge-urls-0").set_value("\n".join(f"https://example.org/{n}" for n in range(101)))
    page.button(key="knowledge-read").click().run()
    assert "more than 100 addresses" in texts(page)
    page.text_area(key="knowledge-urls-0").set_value("https://example.org/")
    page.text_input(key="knowledge-path-0").set_value("")
    page.button(key="knowledge-read").click().run()
    [job] = jobs.every()
    assert job.spec["urls"] == ["https://example.org/"]
    assert job.spec["paths"] == []


def choose_rows(page, *rows):
    key = page.dataframe[0].proto.id.split("-", 2)[2]
    page.session_state[key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return page.run()


def test_a_chosen_document_is_shown_with_its_line_numbers(open_page, base):
    base()
    page = choose_rows(open_page("knowledge"), 1)
    assert page.subheader[0].value.replace("\\", "") == "lamp.md"
    assert page.code[0].value.splitlines()[2] == "3  The lamp by the door needs two batteries of the large kind."


def test_the_address_names_the_chosen_one_so_that_a_reload_keeps_it(open_page, base):
    base("alpha"), base("omega")
    page = open_page("knowledge")
    assert page.selectbox[0].value == "alpha"
    page.selectbox[0].set_value("omega").run()
    assert page.query_params["kb"] == "omega"
    page.query_params["kb"] = "alpha"  # a step back
    assert page.run().selectbox[0].value == "alpha"
    page.query_params["kb"] = "somebody-elses"
    assert page.run().selectbox[0].value == "alpha"
    page.selectbox[0].set_value("").run()
    assert "kb" not in page.query_params
    assert page.text_input(key="knowledge-name").value == "documents"


def test_one_press_leads_to_a_new_conversation_about_it(open_page, base):
    base("alpha"), base("omega")
    page = open_page("knowledge", **{"knowledge-chosen": "omega", "chat-id": "an-older-one"})
    page = page.button(key="knowledge-ask").click().run()
    assert page.title[0].value == "Chat" and not page.error
    assert page.session_state["chat-draft"][0] == "omega"
    assert "chat-id" not in page.session_state


def test_a_document_is_deleted_with_its_upload_once_it_was_confirmed(open_page, base):
    kb = base()
    page = choose_rows(open_page("knowledge"), 1)
    assert "Delete lamp.md from this knowledge base?" in texts(page)
    page.button(key="knowledge-delete-yes").click().run()
    assert not page.exception
    assert list(page.dataframe[0].value["Name"]) == ["cup.md"]
    assert [file.name for file in uploads_folder().rglob("*.md")] == ["cup.md"]
    assert len(kb.documents()) == 1


def test_a_document_is_read_again_by_a_job(open_page, base, ended):
    kb = base()
    page = choose_rows(open_page("knowledge"), 0)
    page.button(key="knowledge-read-again").click().run()
    [job] = jobs.every()
    assert job.spec["mode"] == "reread"
    assert job.spec["sources"] == [next(source for source in kb.documents() if source.endswith("cup.md"))]


def at_tab(open_page, name, **state):
    return open_page("knowledge", **{"knowledge-tab": name, **state})


def test_search_shows_what_explain_says(open_page, base):
    kb = base()
    page = at_tab(open_page, "Search")
    page.text_input(key="knowledge-query").set_value("how many batteries does the purple lamp need").run()
    assert not page.exception
    found = kb.explain("how many batteries does the purple lamp need", 5)
    table = page.dataframe[-1].value
    said = [reason.queries[0] for reason in found.hits]
    assert list(table["Cosine"]) == [query.cosine for query in said]
    assert list(table["BM25"].dropna()) == [query.bm25 for query in said if query.bm25 is not None]
    assert list(table["Fused"]) == [reason.fused_score for reason in found.hits]
    assert list(table["Rank by sentences"]) == [reason.ordered_rank for reason in found.hits]
    first = found.hits[0]
    assert f"meaning {said[0].cosine:.3f} (cosine, rank {said[0].dense_rank})" in texts(page)
    assert f"words {said[0].bm25:.2f} (BM25, rank {said[0].sparse_rank})" in texts(page)
    assert f"fused {first.fused_score:.3f} (rank {first.fused_rank})" in texts(page)
    assert "1. lamp.md, lines 1-3" in texts(page)
    assert "missing: many, purple" in texts(page) or "purple" in texts(page)


def test_search_is_filtered(open_page, base):
    kb = base()
    page = at_tab(open_page, "Search")
    page.multiselect(key="knowledge-sources-kb").set_value([s for s in kb.documents() if s.endswith("cup.md")])
    page.text_input(key="knowledge-query").set_value("lamp").run()
    assert "1. cup.md" in texts(page)
    assert "lamp.md" not in texts(page)
    page.text_area(key="knowledge-where").set_value("year>=2020").run()
    assert "Nothing was found" in texts(page)
    page.text_area(key="knowledge-where").set_value("nonsense").run()
    assert "is no condition" in texts(page)


def test_statistics_and_map_show_every_passage(open_page, base):
    kb = base()
    page = at_tab(open_page, "Statistics")
    assert [metric.value for metric in page.metric[:2]] == ["2", "2"]
    assert kb.embedder.name in texts(page)
    page = at_tab(open_page, "Map")
    assert not page.exception
    assert "2 of 2 passages" in texts(page)
    assert sorted(page.dataframe[0].value["Begins"]) == [
        "# Cups The cup on the shelf is blue and holds a pint of tea.",
        "# Lamps The lamp by the door needs two batteries of the large kind.",
    ]
    page.session_state["knowledge-map-table-kb"] = {"selection": {"rows": [1], "columns": [], "cells": []}}
    page.run()
    assert "The lamp by the door" in page.text[-1].value


def test_the_whole_is_deleted_when_its_name_was_typed(open_page, base, ended):
    base()
    ended("done", result={"added": [], "passages": 0, "seconds": 0})
    page = at_tab(open_page, "Care")
    assert page.button(key="knowledge-delete-all").disabled
    page.text_input(key="knowledge-delete-name-kb").set_value("kb").run()
    page.button(key="knowledge-delete-all").click().run()
    assert not page.exception
    assert KnowledgeBase.list() == []
    assert not (uploads_folder() / "kb").exists()
    assert jobs.every() == []
    assert page.button(key="knowledge-create")


def test_it_is_looked_over_mended_and_taken_along(open_page, base, ended, tmp_path):
    from ui.browser.knowledge_care import exported

    base()
    page = at_tab(open_page, "Care")
    for key, mode in (("look-over", "verify"), ("mend", "repair"), ("again", "reread")):
        page.button(key=f"knowledge-{key}").click().run()
        assert jobs.every()[0].spec["mode"] == mode
        jobs.every()[0].folder.rename(tmp_path / f"away-{mode}")
        page.run()
    file = tmp_path / "kb.hearth"
    file.write_bytes(exported("kb"))
    with KnowledgeBase("copy", embedder=opened._bases["kb"].embedder) as copy:
        assert len(copy.import_from(file).documents) == 2
    ended("done", result={"problems": [{"source": "a.md", "what": "its text is damaged or missing"}]})
    page.run()
    assert "1 things are wrong" in texts(page)
    assert "a.md: its text is damaged" in texts(page)


def test_a_killed_job_is_shown_as_such_and_goes_on(open_page, base, ended):
    base()
    job = ended("killed", paths=["/x"], progress={"phase": "reading", "failed": {"/y/b.pdf": "loading /y/b.pdf: torn"}})
    page = open_page("knowledge")
    assert "it was killed" in texts(page)
    assert "b.pdf: torn" in texts(page)
    page.button(key="knowledge-go-on").click().run()
    [again] = jobs.every()
    assert again.id != job.id
    assert dict(again.spec) == dict(job.spec)


def test_a_failed_job_says_what_helps_and_can_be_dismissed(open_page, base, ended):
    base()
    ended("failed", error={"step": "writing", "cause": "the disk is full", "remedy": "Free some space"})
    page = open_page("knowledge")
    assert "writing: the disk is full" in texts(page)
    assert "Free some space" in texts(page)
    page.button(key="knowledge-put-job-aside").click().run()
    assert jobs.every() == []


def test_what_failed_is_listed_until_it_is_read_or_deleted(base, ended):
    from ui.browser.knowledge_failures import failures
    from ui.browser.knowledge_list import delete
    from ui.browser.knowledge_rows import rows

    kb = base()
    ended("done", result={"failed": {"/a.pdf": "loading /a.pdf: torn", "/b.pdf": "torn", "/c.pdf": "torn"}})
    ended("done", result={"added": ["/b.pdf"], "failed": {}})
    assert sorted(failures("kb", "")) == ["/a.pdf", "/c.pdf"]
    assert failures("kb", "somebody") == {}
    row = next(row for row in rows(kb.documents(), failures("kb", "")) if row.source == "/a.pdf")
    assert (row.status, row.reason, row.known) == ("failed", "torn", False)
    delete("kb", [row])
    assert sorted(failures("kb", "")) == ["/c.pdf"]
    gone = str(uploads_folder() / "kb" / "00000000" / "gone.pdf")
    ended("done", result={"failed": {gone: "torn"}})
    assert gone not in failures("kb", "")


def test_people_see_their_own_alone(open_page, base, ended, sign_in):
    ann = sign_in("ann")
    base(f"{ann.prefix}notes")
    ended("killed", person=ann.id, kb=f"{ann.prefix}other")
    page = open_page("knowledge")
    assert page.selectbox[0].options == ["notes", "other", "New knowledge base"]
    assert not any("path" in str(field.key) for field in page.text_input)
    sign_in("bob")
    page = open_page("knowledge", **{"knowledge-chosen": f"{ann.prefix}notes"})
    assert not page.selectbox
    assert not page.dataframe
    assert page.button(key="knowledge-create")


def test_the_example_is_read_into_a_knowledge_base_of_its_own(open_page, ended):
    page = open_page("knowledge")
    page.button(key="knowledge-example").click().run()
    [job] = jobs.every()
    assert job.spec["kb"] == "example"
    assert [path.rpartition("/")[2] for path in job.spec["paths"]] == ["manual"]
    assert page.selectbox[0].value == "example"
