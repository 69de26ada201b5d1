"""The page Health: cards, servers, figures over time, all jobs, the doctor."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from decoder import server_state
from decoder.errors import ConnectFailed, UsageError
from decoder.metrics import Reading
from decoder.scripted import ScriptedDecoder
from decoder.server_state import ServerState
from rag.settings import RagSettings
from rag.store_status import store_status
from ui.browser import health_cards, health_machine, health_sampler, health_serve_job, jobs, opened
from ui.browser.health_charts import CHARTS, series
from ui.browser.health_decoder import decoder_status
from ui.browser.health_doctor import table
from ui.browser.health_sampler import Sampler
from ui.browser.job_process import Running
from ui.cli.checks import Row
from ui.cli.wiring import DecoderChoice

HOSTILE = "<img src=x onerror=alert(1)> **b** :red[x]"


@pytest.fixture(autouse=True)
def _fresh(home, monkeypatch):
    """No card that another test looked at, and a sampler of this test's own."""
    health_cards.look_again()
    mine = Sampler(health_sampler.addresses, every=0.05)
    monkeypatch.setattr(health_sampler, "_here", mine)
    yield
    mine.stop()
    for decoder in opened._decoders.values():
        decoder.close()


@pytest.fixture
def answering():
    """A small HTTP server; `.answers[path]` is what it says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.server.answers.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers = {}
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def values(page):
    return [each.value for kind in (page.markdown, page.caption, page.text, page.error, page.warning) for each in kind]


def failed_server(name="tiny", error="it died"):
    log = server_state.folder() / f"{name}.log"
    log.write_text(f"loading\n{HOSTILE}\n")
    state = ServerState(
        name, "/models/tiny", "127.0.0.1", 1, str(log), time.time(), phase="failed",
        error=("ServerStartFailed", error, "See the log"),
    )  # fmt: skip
    server_state.write(state)


def test_an_empty_home_says_what_to_do_next(open_page):
    page = open_page("health")
    said = values(page)
    assert ":material/radio_button_unchecked: **None is set**" in said
    assert any("No server is known" in each for each in said)
    assert any("No job was started yet" in each for each in said)
    assert any("No running vLLM server" in each for each in said)
    assert not page.error


def test_a_decoder_that_answers_is_shown_with_its_latency(open_page, monkeypatch):
    monkeypatch.setitem(opened._decoders, DecoderChoice(), ScriptedDecoder(lambda messages: "pong"))
    page = open_page("health")
    said = values(page)
    assert ":material/check_circle: **It answers**" in said
    assert any("One token took" in each for each in said)
    assert "scripted" in said


def test_a_decoder_that_does_not_answer_is_shown_with_what_helps(open_page, monkeypatch):
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HEARTH_DECODER_API_KEY", "sk-not-to-be-shown")
    page = open_page("health")
    said = values(page)
    assert ":material/error: **It does not answer**" in said
    assert "http://127.0.0.1:9/v1" in said
    assert not any("sk-not" in each for each in said)


def test_a_decoder_that_hangs_is_given_up(home, monkeypatch):
    class Hanging(ScriptedDecoder):
        async def acomplete(self, *_, **__):
            import asyncio

            await asyncio.sleep(60)

    monkeypatch.setitem(opened._decoders, DecoderChoice(), Hanging([]))
    found = decoder_status(0.1)
    assert (found.latency, found.error) == (None, "no answer within 0.1 s")


def test_the_embedded_store_is_measured(home):
    folder = home / "indexes" / "default"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"x" * 1_000_000)
    with (folder / "b").open("wb") as segment:  # nothing but a hole, as a segment has at first
        segment.truncate(50_000_000)
    found = store_status(RagSettings())
    assert (found.store, found.indexes, found.files) == ("edge", 1, 2)
    assert 1_000_000 <= found.size < 2_000_000, "what it takes on the disk, as the page Knowledge counts it"


def test_a_qdrant_server_tells_its_version_or_why_not(answering):
    settings = RagSettings(store="qdrant", qdrant_url=answering.url)
    answering.answers["/"] = json.dumps({"title": "qdrant", "version": "1.16.0"})
    assert (store_status(settings).version, store_status(settings).error) == ("1.16.0", "")
    answering.answers["/"] = "<html>"
    assert store_status(settings).error == "what answers there is no Qdrant server"
    assert "does not answer" in store_status(RagSettings(store="qdrant", qdrant_url="http://127.0.0.1:9")).error


def test_the_gpus_are_those_of_nvidia_smi(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 1024, 143771, 7'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert health_machine.gpus() == [health_machine.Gpu("NVIDIA H200", "1024", "143771", "7")]
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    began = time.monotonic()
    assert health_machine.gpus(0.2) == []
    assert time.monotonic() - began < 10


def test_sizes_are_for_people():
    assert [health_machine.size(n) for n in (12, 2048, 3.5 * 2**30, 2**41)] == ["12 B", "2.0 KiB", "3.5 GiB", "2.0 TiB"]


def test_a_server_that_failed_is_shown_with_its_log_and_can_be_cleared_away(open_page, home):
    failed_server(error=HOSTILE)
    page = open_page("health")
    assert any("**tiny** · failed" in each.value for each in page.markdown)
    assert any(HOSTILE in each.value for each in page.code)
    assert not any(each.value.startswith("<img") for each in [*page.markdown, *page.caption])
    page.button(key="health-stop-yes-tiny").click().run()
    assert not page.error
    assert any("No server is known" in each.value for each in page.caption)


def test_a_missing_vllm_environment_is_said_at_once_with_its_remedy(open_page, home, monkeypatch):
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", str(home / "nowhere" / "python"))
    page = open_page("health")
    page.text_input(key="health-model").set_value("/models/tiny")
    page.button(key="health-start").click().run()
    assert any("no program" in each.value for each in page.error)
    assert any("Mend it" in each.value for each in page.caption)
    assert jobs.every() == []


def test_the_job_itself_fails_with_the_remedy_too(home, monkeypatch):
    monkeypatch.setenv("HEARTH_SERVER_PYTHON", str(home / "nowhere" / "python"))
    job = jobs.wait(jobs.start("serve", "Server tiny", {"model": str(home), "options": {"lora": True}}), 60)
    assert job.state == "failed"
    assert "no program" in job.error["cause"]
    assert "Mend it" in job.error["remedy"]


def test_a_model_has_to_be_named(open_page):
    page = open_page("health")
    page.button(key="health-start").click().run()
    assert any("no model was given" in each.value for each in page.error)


@pytest.mark.parametrize("option", ["extra", "host", "expose", "environment", "api_key", "load_format"])
def test_a_page_cannot_set_what_would_open_the_server_or_run_code(option, tmp_path):
    with pytest.raises(UsageError, match="cannot set"):
        health_serve_job.run({"model": "m", "options": {option: "x"}}, Running(tmp_path))


def test_progress_of_a_start_is_told_and_decoders_are_looked_for_anew(home, monkeypatch, open_page):
    (home / "jobs").mkdir()
    folder = home / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-abcdef"
    folder.mkdir()
    asked = {"kind": "serve", "title": "Server tiny", "person": "", "started": time.time(), "spec": {}}
    (folder / "job.json").write_text(json.dumps(asked))
    (folder / "progress.json").write_text(json.dumps({"phase": "starting", "seconds": 61, "line": HOSTILE}))
    page = open_page("health")
    assert any("**Server tiny** · starting" in each.value for each in page.markdown)
    assert HOSTILE in [each.value for each in page.text]
    assert page.button(key="health-start").disabled
    forgotten = []
    monkeypatch.setattr(opened, "forget_decoders", lambda: forgotten.append(True))
    (folder / "ended.json").write_text(json.dumps({"state": "done", "result": {"name": "tiny"}, "at": time.time()}))
    page.run()
    page.run()
    assert forgotten == [True]
    assert not page.button(key="health-start").disabled


def test_all_jobs_are_found_with_how_they_ended(open_page, home):
    (home / "jobs").mkdir()
    for number, ended in enumerate(
        [{"state": "done"}, {"state": "failed", "error": {"step": "x", "cause": HOSTILE}}, None]
    ):
        folder = home / "jobs" / f"20260101-00000{number}-abcdef"
        folder.mkdir()
        asked = {"kind": "draw", "title": HOSTILE, "person": "", "started": 1e9, "spec": {}}
        (folder / "job.json").write_text(json.dumps(asked))
        (folder / "output.log").write_text(f"printed {HOSTILE}")
        if ended:
            (folder / "ended.json").write_text(json.dumps({**ended, "at": 1e9 + 5}))
    page = open_page("health")
    states = [each.value.rsplit("**", 1)[1].split("·")[1].strip() for each in page.markdown if "onerror" in each.value]
    assert states == ["killed", "failed", "done"]
    assert sum(f"printed {HOSTILE}" == each.value for each in page.code) == 2
    assert len(page.divider) == 2, "between jobs, not after the last"
    page.button(key="health-remove-20260101-000002-abcdef").click().run()
    assert len(jobs.every()) == 2


def test_another_persons_jobs_are_not_shown(open_page, home):
    folder = home / "jobs" / "20260101-000000-abcdef"
    folder.mkdir(parents=True)
    asked = {"kind": "draw", "title": "Theirs", "person": "somebody", "started": 1e9, "spec": {}}
    (folder / "job.json").write_text(json.dumps(asked))
    assert any("No job was started yet" in each.value for each in open_page("health").caption)


def test_figures_of_a_running_server_come_over_time(open_page, monkeypatch, answering):
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", f"{answering.url}/v1")
    answering.answers["/metrics"] = "vllm:num_requests_running 3\nvllm:prompt_tokens_total 100\n"
    kept = health_sampler.sampler()
    kept.look()
    deadline = time.monotonic() + 20
    while len(next(iter(kept.look().values()), [])) < 3 and time.monotonic() < deadline:
        Event().wait(0.02)
    page = open_page("health")
    metrics = {each.label: each.value for each in page.metric}
    assert (metrics["Running"], metrics["Read, per s"], metrics["Waiting"]) == ("3", "0", "–")
    assert page.dataframe[0].value["Running"].tolist()[:2] == [3, 3]


def test_the_sampler_keeps_rates_and_forgets_a_server_that_went_away_only_with_time():
    readings = iter([Reading(0.0, prompt_tokens=100), Reading(5.0, prompt_tokens=350), ConnectFailed("a", "gone", "")])

    def read(address, at):
        found = next(readings)
        if isinstance(found, Exception):
            raise found
        return found

    sampler = Sampler(lambda: {"one": "http://one"}, read)
    for _ in range(3):
        sampler.round()
    points = sampler._kept["one"]
    assert [point.rates.prompt for point in points] == [None, 50.0]
    assert sampler._last == {}


def test_the_sampler_stops_when_nobody_looks_and_starts_again(monkeypatch):
    sampler = Sampler(dict, every=0.01, nobody=0.05)
    sampler.look()
    assert sampler.running
    thread = sampler._thread
    thread.join(10)
    assert not sampler.running
    sampler.look()
    assert sampler.running
    sampler.stop()


def test_one_look_more_starts_no_second_thread():
    sampler = Sampler(dict, every=0.01)
    sampler.look()
    first = sampler._thread
    sampler.look()
    assert sampler._thread is first
    sampler.stop()
    assert not sampler.running


def test_what_is_kept_is_bounded_to_an_hour():
    sampler = Sampler(lambda: {"one": "x"}, lambda address, at: Reading(at), every=600.0)
    for _ in range(10):
        sampler.round()
    assert len(sampler._kept["one"]) == 6


def test_a_chart_has_a_line_for_each_figure_and_gaps_where_nothing_was_told():
    sampler = Sampler(lambda: {"one": "x"}, lambda address, at: Reading(at, running=2.0, cache_usage=0.5))
    sampler.round()
    points = list(sampler._kept["one"])
    columns = series(points, CHARTS["requests"])
    assert columns["Running"] == [2.0]
    assert columns["Waiting"] == [None]
    assert series(points, CHARTS["shares"])["Cache in use"] == [50.0]


def test_the_doctors_rows_say_their_state_in_words():
    rows = [Row("disk", "warn", "1 GiB free", "Make room"), Row("python", "ok", "3.11")]
    assert table(rows)["State"] == ["! drawback", "✓ in order"]
    assert table(rows)["What helps"] == ["Make room", ""]


def test_the_doctor_is_asked_by_a_button(open_page, monkeypatch):
    from ui.browser import health_doctor

    monkeypatch.setattr(health_doctor, "examine", lambda: [Row("disk", "fail", HOSTILE, "Make room")])
    health_doctor._examined.clear()
    page = open_page("health")
    page.button(key="health-examine").click().run()
    assert any("Something is broken" in each.value for each in page.error)
    assert page.dataframe[0].value["Found"].tolist() == [HOSTILE]
    health_doctor._examined.clear()
