"""Runs of agents as jobs: real processes, real tools and transcripts; a mock decoder says what to do."""

import json
import time

import pytest

from agents import events as e
from agents.errors import ReplayDiffers
from agents.events import ToolStarted
from agents.transcript import read
from decoder.errors import UsageError
from ui.browser import agent_asking, agent_runs, jobs
from ui.browser.agent_making import notes_folder, offered
from ui.browser.agent_replay import replayed
from ui.browser.agent_spec import EFFECTS, AgentSpec, spec_of

NOTE = {"name": "write_note", "arguments": {"title": "Milk", "text": "Buy milk."}}
SUM = {"name": "calculator", "arguments": {"expression": "6 * 7"}}


def act(thought, call):
    return f"Thought: {thought}\nAction: {json.dumps(call)}"


def done(text="All done."):
    return f"Thought: I know.\nFinal Answer: {text}"


@pytest.fixture
def says(home, mock_decoder, monkeypatch):
    """says(turn, …): the mock decoder's turns, told by the prompt alone how far the run is."""
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", mock_decoder.base_url)
    monkeypatch.setenv("HEARTH_DECODER_PRESET", "compatible")

    def script(*turns, pace=0.0):
        mock_decoder.pace = pace
        mock_decoder.reply = lambda messages: turns[sum(m["role"] == "assistant" for m in messages)]

    yield script
    mock_decoder.pace = 0.0
    for job in jobs.every():
        jobs.kill(job)


def asked(task="Do it.", **options):
    return AgentSpec(task, tools=("calculator", "notes"), mode="text", **options)


def until(condition, seconds=25):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def kinds(job, kind):
    return [event for event in read(agent_runs.transcript_of(job)).events if isinstance(event, kind)]


def notes(person=""):
    return {file.name: file.read_text() for file in notes_folder(person).glob("*")}


def test_a_whole_run_with_a_yes_for_its_effect(says):
    says(act("I count.", SUM), act("I write.", NOTE), done())
    job = agent_runs.start(asked())
    ask = until(lambda: agent_asking.pending(job.folder))
    assert (ask.tool, ask.effect, ask.arguments, ask.task) == ("write_note", "write", NOTE["arguments"], "Do it.")
    assert notes() == {}
    agent_asking.answer(job.folder, "another nonce", True)
    assert agent_asking.pending(job.folder) == ask
    agent_asking.answer(job.folder, ask.nonce, True)
    job = jobs.wait(job, 20)
    assert (job.state, job.result["ended"]) == ("done", "answer"), jobs.output(job)
    assert notes() == {"milk.md": "Buy milk."}
    assert not (job.folder / "ask.json").exists()
    assert kinds(job, e.FinalAnswer)[0].answer == "All done."
    found = replayed(job)
    assert (found.finished, found.prompts) == (True, 3)


def test_a_no_and_no_answer_at_all_leave_the_effect_undone(says, monkeypatch):
    says(act("I write.", NOTE), act("I try again.", {**NOTE, "arguments": {"title": "b", "text": "c"}}), done())
    monkeypatch.setenv("HEARTH_UI_APPROVAL_MINUTES", "0.03")
    job = agent_runs.start(asked())
    ask = until(lambda: agent_asking.pending(job.folder))
    agent_asking.answer(job.folder, ask.nonce, False)
    agent_asking.answer(job.folder, ask.nonce, True)  # too late: it was answered
    job = jobs.wait(job, 20)
    assert job.state == "done"
    assert [(given.approved, given.by) for given in kinds(job, e.ApprovalGiven)] == [
        (False, "approver"),
        (False, "no answer in time"),
    ]
    assert not kinds(job, ToolStarted)
    assert notes() == {}


def test_a_run_that_is_stopped_while_it_asks_asks_again_when_it_goes_on(says):
    says(act("I write.", NOTE), done())
    job = agent_runs.start(asked())
    ask = until(lambda: agent_asking.pending(job.folder))
    jobs.stop(job)
    job = jobs.wait(job, 20)
    assert (job.state, agent_asking.pending(job.folder)) == ("stopped", None)
    job = agent_runs.go_on(job)
    again = until(lambda: agent_asking.pending(job.folder))
    assert again.nonce != ask.nonce
    agent_asking.answer(job.folder, again.nonce, True)
    assert jobs.wait(job, 20).state == "done"
    assert notes() == {"milk.md": "Buy milk."}


@pytest.mark.slow
def test_a_real_model_held_to_its_tools_runs_within_its_budget(home, tiny_llama):
    spec = AgentSpec("Do it.", tools=("calculator",), embedded=str(tiny_llama), steps=2, tokens=700)
    job = jobs.wait(agent_runs.start(spec), 60)
    assert job.state == "done", (job.error, jobs.output(job))
    assert kinds(job, e.RunStarted)[0].mode == "constrained"
    assert 1 <= kinds(job, e.RunEnded)[0].result.spent.steps <= 2
    assert replayed(job).prompts == len(kinds(job, e.DecoderCalled))


def test_never_refuses_without_asking(says):
    says(act("I write.", NOTE), done())
    job = jobs.wait(agent_runs.start(asked(approve="never")), 20)
    assert [given.by for given in kinds(job, e.ApprovalGiven)] == ["no approver"]
    assert (job.state, notes()) == ("done", {})


def test_a_stopped_run_goes_on_once_and_a_killed_one_repeats_no_effect(says):
    long = f"Thought: {'well ' * 400}\nFinal Answer: late"
    says(act("I write.", NOTE), long, pace=0.05)
    first = agent_runs.start(asked(approve="always"))
    until(lambda: notes() and kinds(first, e.Observation))
    thought = until(lambda: jobs.find(first.id).progress.get("thought"))
    assert "well" in thought
    jobs.kill(first)
    first = until(lambda: (now := jobs.find(first.id)).state == "killed" and now)
    second = agent_runs.go_on(first)
    until(lambda: agent_runs.continued(first.folder) and jobs.find(second.id).progress.get("thought"))
    jobs.stop(second)
    second = jobs.wait(second, 20)
    assert second.state == "stopped", jobs.output(second)
    says(act("I write.", NOTE), done("kept"))
    third = jobs.wait(agent_runs.go_on(second), 20)
    assert (third.state, third.result["ended"]) == ("done", "answer"), jobs.output(third)
    assert len(kinds(third, ToolStarted)) == 1
    assert len(kinds(third, e.Resumed)) == 2
    assert notes() == {"milk.md": "Buy milk."}
    with pytest.raises(UsageError, match="goes on already"):
        agent_runs.go_on(first)
    assert [run.id for run in agent_runs.every("")] == [third.id]
    assert agent_runs.find(first.id, "").id == third.id
    assert replayed(third).finished
    agent_runs.remove(third)
    assert jobs.every() == []


def test_two_jobs_cannot_go_on_with_one_run_not_even_through_one_that_failed(says, home, monkeypatch):
    says(done())
    job = jobs.wait(agent_runs.start(asked()), 20)
    monkeypatch.delenv("HEARTH_DECODER_BASE_URL")
    failed = jobs.wait(agent_runs.go_on(job), 20)  # there is no decoder, so it took nothing over
    assert (failed.state, agent_runs.continued(job.folder)) == ("failed", "")
    assert agent_runs.transcript_of(failed) == agent_runs.transcript_of(job)
    (home / "third").mkdir()
    agent_runs.taken_over(failed, home / "third")
    (home / "fourth").mkdir()
    for before in (job, failed):
        with pytest.raises(UsageError, match="goes on already"):
            agent_runs.taken_over(before, home / "fourth")


def test_removing_an_attempt_that_took_nothing_over_leaves_the_run(says, monkeypatch):
    says(done())
    job = jobs.wait(agent_runs.start(asked()), 20)
    monkeypatch.delenv("HEARTH_DECODER_BASE_URL")
    agent_runs.remove(jobs.wait(agent_runs.go_on(job), 20))
    assert [each.id for each in jobs.every()] == [job.id]


def test_a_fork_shares_the_steps_and_does_another_task(says, mock_decoder):
    says(act("I count.", SUM), done("42"))
    first = jobs.wait(agent_runs.start(asked("What is six times seven?")), 20)
    says(act("I count.", SUM), done("It is even."))
    fork = jobs.wait(agent_runs.fork(first, 1, "Is six times seven even?"), 20)
    assert fork.state == "done", (fork.error, jobs.output(fork))
    assert fork.title == "Is six times seven even?"
    started = kinds(fork, e.RunStarted)[0]
    assert started.task == "Is six times seven even?"
    assert started.forked_from.endswith(":1")
    assert kinds(fork, e.FinalAnswer)[0].answer == "It is even."
    assert len(kinds(fork, e.Observation)) == 1
    assert {run.id for run in agent_runs.every("")} == {first.id, fork.id}


def test_a_replay_says_where_a_run_would_differ_today(says):
    says(act("I count.", SUM), done("42"))
    job = jobs.wait(agent_runs.start(asked()), 20)
    path = agent_runs.transcript_of(job)
    path.write_text(path.read_text().replace("I count.", "I guess."))
    with pytest.raises(ReplayDiffers):
        replayed(job)


def test_without_a_decoder_the_job_says_what_to_do(home, monkeypatch):
    monkeypatch.delenv("HEARTH_DECODER_BASE_URL", raising=False)
    job = jobs.wait(agent_runs.start(asked()), 20)
    assert job.state == "failed"
    assert "decoder" in job.error["cause"]
    assert agent_runs.recording(job) is None


def test_no_key_is_in_what_a_job_keeps(says, monkeypatch, home):
    monkeypatch.setenv("HEARTH_DECODER_API_KEY", "sk-very-secret")
    says(done())
    job = jobs.wait(agent_runs.start(asked()), 20)
    assert job.state == "done"
    assert not any(b"sk-very-secret" in file.read_bytes() for file in home.rglob("*") if file.is_file())


def test_tools_do_what_the_page_says_that_they_may(home):
    (home / "uploads" / "kb").mkdir(parents=True)
    for name, effect in EFFECTS.items():
        with offered(AgentSpec("x", tools=(name,), kb="kb"), None) as (made,):
            assert made.effect == effect


def test_a_spec_comes_back_from_its_data_and_takes_nothing_else():
    spec = AgentSpec("x", tools=("web",), mcp=("http://127.0.0.1:1/mcp",))
    assert spec_of(json.loads(json.dumps(spec.data()))) == spec
    with pytest.raises(UsageError, match="api_key"):
        spec_of({**spec.data(), "api_key": "x"})
    for wrong in ({"task": " "}, {"tools": ("shell",)}, {"approve": "maybe"}, {"mode": "loud"}):
        with pytest.raises(UsageError):
            AgentSpec(**{"task": "x", **wrong})


def test_an_own_folder_of_notes_for_each_person(home):
    assert len({notes_folder(""), notes_folder("a"), notes_folder("../b")}) == 3
    assert notes_folder("../b").resolve().parent == (home / "notes").resolve()
