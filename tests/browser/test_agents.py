"""The page Agents in each of its states, on transcripts of real runs; what anybody wrote into them is shown as text."""

import json
import os
import time

import pytest

from agents import Agent, Policy, Tool, Transcript
from agents import events as e
from agents.team import as_tool
from decoder import ScriptedDecoder
from decoder.errors import UsageError
from ui.browser import agent_asking, agent_runs, jobs
from ui.browser.agent_cards import call_json, cards
from ui.browser.agent_making import notes_folder
from ui.browser.agent_spec import AgentSpec

HOSTILE = "<script>alert(1)</script> ![x](http://evil.example/p.png) :red[**bold**] [a](javascript:alert(1)) $x$"
ANY = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def made_run(path, *turns, look="page", task="Look it up.", **options):
    """A finished run's transcript: thoughts and actions in turn."""
    tools = [Tool("look", "Looks.", ANY, lambda n=0: look, effect="read"), Tool("save", "Saves.", ANY, lambda n=0: n)]
    return Agent(ScriptedDecoder(list(turns)), tools, **options).run(task, listeners=[Transcript(path)])


def kept_job(home, state, person="", number=1, **spec):
    """A job's folder as its process leaves it; "running" holds its lock in this process."""
    folder = home / "jobs" / f"20260101-00000{number}-abcdef"
    folder.mkdir(parents=True)
    data = AgentSpec(**{"task": "Look it up.", "person": person, **spec}).data()
    asked = {"kind": "agent", "title": data["task"], "person": person, "started": time.time() - 100, "spec": data}
    (folder / "job.json").write_text(json.dumps(asked))
    (folder / "alive").touch()
    if state not in ("running", "killed"):
        error = {"step": "asking the decoder", "cause": HOSTILE, "remedy": "Start it again"}
        ended = {"state": state, "at": time.time(), **({"error": error} if state == "failed" else {})}
        (folder / "ended.json").write_text(json.dumps(ended))
    return folder


@pytest.fixture
def running(home):
    """running(number) -> a job's folder whose lock is held, as by a process."""
    import fcntl

    held = []

    def hold(**spec):
        folder = kept_job(home, "running", **spec)
        held.append(os.open(folder / "alive", os.O_RDWR))
        fcntl.flock(held[-1], fcntl.LOCK_EX)
        (folder / "progress.json").write_text(json.dumps({"began": time.time() - 65, "thought": "I am thin"}))
        return folder

    yield hold
    for descriptor in held:
        os.close(descriptor)


@pytest.fixture
def with_decoder(monkeypatch):
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("HEARTH_DECODER_PRESET", "compatible")


@pytest.fixture
def open_agents(open_page, monkeypatch):
    """The page, with a run in its address; `viewer` is who looks at it, by a proxy's header."""

    def run(run_id=""):
        page = open_page("agents")
        if run_id:
            page.query_params["run"] = run_id
            page.run()
        assert not page.exception
        return page

    return run


def buttons(page):
    return {button.label for button in page.button}


def shown(page):
    """All text on the page that is not Markdown, and all that is."""
    return [*(each.value for each in page.text), *(each.value for each in page.code)], [
        *(each.value for each in page.markdown),
        *(each.value for each in page.caption),
    ]


def test_without_a_decoder_it_says_what_to_do_and_offers_no_run(open_agents, no_tiny):
    page = open_agents()
    assert "needs a model" in page.info[0].value
    assert page.code[0].value == "hearth serve FOLDER"
    assert "Run" not in buttons(page)


def test_without_a_server_hearth_tiny_is_asked_and_named(open_agents, tiny_stand_in, monkeypatch):
    started = []

    def start(kind, title, spec, person=""):
        started.append(spec)
        raise UsageError("starting a job", "4 jobs run already", "Wait")

    monkeypatch.setattr("ui.browser.jobs.start", start)
    page = open_agents()
    assert any("hearth-tiny does the work" in each.value for each in page.caption)
    page.text_area(key="agents-task").set_value("Count to ten.")
    page.button(key="agents-run").click().run()
    assert [spec["embedded"] for spec in started] == ["hearth-tiny"]


@pytest.mark.slow
def test_hearth_tiny_counts_with_the_calculator(open_agents, hearth_tiny):
    page = open_agents()
    page.text_area(key="agents-task").set_value("What is 348 × 27?")
    page.button(key="agents-run").click().run()
    (job,) = jobs.every()
    job = jobs.wait(job, 120)
    assert (job.state, job.result.get("ok")) == ("done", True), (job.error, jobs.output(job))
    page = open_agents(job.id)
    texts, marked = shown(page)
    assert any("9396" in each.replace(",", "") for each in (*texts, *marked))


def test_at_first_there_is_one_primary_button_and_the_usual_tools(open_agents, with_decoder):
    page = open_agents()
    assert [button.label for button in page.button if button.proto.type == "primary"] == ["Run"]
    tools = page.multiselect(key="agents-tools")
    assert tools.value == ["calculator", "clock", "notes"]
    assert "Notes · writes" in tools.options
    assert "Web pages · sends" in tools.options
    assert not any(option.startswith("Files") for option in tools.options)
    assert "Runs will be kept here" in page.caption[-1].value


def test_no_task_is_no_run(open_agents, with_decoder):
    page = open_agents()
    page.button(key="agents-run").click().run()
    assert "no task was given" in page.error[0].value
    assert jobs.every() == []


def test_a_press_of_run_starts_a_job_with_what_was_chosen(open_agents, with_decoder, monkeypatch):
    started = []

    def start(kind, title, spec, person=""):
        started.append((kind, title, spec, person))
        raise UsageError("starting a job", "4 jobs run already", "Wait")

    monkeypatch.setattr("ui.browser.jobs.start", start)
    page = open_agents()
    page.text_area(key="agents-task").set_value("Count to ten.")
    page.multiselect(key="agents-tools").set_value(["notes"])
    page.number_input(key="agents-steps").set_value(3)
    page.selectbox(key="agents-ask").set_value("never")
    page.button(key="agents-run").click().run()
    ((kind, title, spec, person),) = started
    assert (kind, title, person) == ("agent", "Count to ten.", "")
    assert (spec["tools"], spec["steps"], spec["approve"]) == (("notes",), 3, "never")
    assert "4 jobs run already" in page.error[0].value


def test_a_running_run_is_found_again_with_its_thought_cost_and_stop(open_agents, running, with_decoder):
    running(task=HOSTILE)
    page = open_agents()
    texts, _ = shown(page)
    assert HOSTILE in texts
    assert "I am thin" in texts
    assert any("Step 0 of 12" in caption.value and " of 30 min" in caption.value for caption in page.caption)
    assert "Stop" in buttons(page)
    assert not {"Approve", "Replay", "Go on"} & buttons(page)


def test_an_approval_shows_the_whole_call_and_answers_that_call_alone(open_agents, running):
    folder = running()
    arguments = {"title": "\u202egnp.exe", "text": HOSTILE}
    ask = {"nonce": "n1", "tool": "write_note", "arguments": arguments, "effect": "write", "reason": HOSTILE}
    ask |= {"task": "t", "untrusted": True, "until": time.time() + 600}
    (folder / "ask.json").write_text(json.dumps(ask))
    page = open_agents()
    assert json.loads(page.code[0].value) == arguments
    assert "\u202e" not in page.code[0].value
    assert any("nobody vouches for" in each.value for each in page.caption)
    inside = {button.label for button in page.button if "-n1" in button.key}
    assert inside == {"Approve", "Refuse"}
    (folder / "ask.json").write_text(json.dumps({**ask, "nonce": "n2"}))  # meanwhile another call is asked about
    page.button(key="agents-approve-n1").click().run()
    assert not (folder / "answer.json").exists()
    page.button(key="agents-refuse-n2").click().run()
    assert json.loads((folder / "answer.json").read_text()) == {"nonce": "n2", "approved": False}
    assert "Approve" not in buttons(page)
    assert agent_asking.pending(folder) is None


def test_why_it_asks_is_said_where_the_heading_does_not_say_it(open_agents, running):
    folder = running()
    ask = {"nonce": "n1", "tool": "write_note", "arguments": {}, "effect": "write", "task": "t", "untrusted": False}
    ask |= {"reason": "write_note has the effect write", "until": time.time() + 600}
    (folder / "ask.json").write_text(json.dumps(ask))
    page = open_agents()
    assert any("wants to write" in each.value for each in page.subheader)
    assert not any("has the effect" in each.value for each in page.caption)
    (folder / "ask.json").write_text(json.dumps({**ask, "reason": "each write asks"}))
    assert any(each.value == "each write asks" for each in open_agents().caption)


def test_a_finished_run_shows_its_cards_as_text_and_can_be_replayed_and_forked(home, open_agents, monkeypatch):
    folder = kept_job(home, "done", tools=())
    turns = [HOSTILE, call("look", n=1), HOSTILE, call("final_answer", answer=HOSTILE)]
    made_run(folder / "run.jsonl", *turns, look=HOSTILE * 30, task=HOSTILE)
    page = open_agents(folder.name)
    texts, markdown = shown(page)
    assert texts.count(HOSTILE) == 3  # the task and two thoughts
    assert HOSTILE * 30 in texts
    assert not any(raw in each for each in markdown for raw in ("<script>", "![x](", ":red[", "](javascript"))
    assert any("not vouched for" in each for each in markdown)
    assert {"New task", "Replay", "Start the fork"} <= buttons(page)
    assert "Go on" not in buttons(page)
    assert page.slider(key=f"agents-fork-step-{folder.name}").max == 1
    page.button(key="agents-replay").click().run()  # the tools of this transcript are not the page's
    assert "replaying a run" in page.error[0].value


def test_a_replay_that_comes_out_the_same_says_so(home, open_agents):
    folder = kept_job(home, "done", tools=())
    policy = Policy(ask_for=frozenset({"write", "egress"}))
    decoder = ScriptedDecoder(["I know.", call("final_answer", answer="4")])
    Agent(decoder, [], policy=policy).run("2 + 2?", listeners=[Transcript(folder / "run.jsonl")])
    page = open_agents(folder.name)
    page.button(key="agents-replay").click().run()
    assert page.success[0].value.startswith("Verified: 7 events")


def test_a_failed_run_says_why_and_goes_on(home, open_agents):
    folder = kept_job(home, "failed")
    made_run(folder / "run.jsonl", "I look.", call("look"), "I know.", call("final_answer", answer="x"))
    cut = (folder / "run.jsonl").read_text().splitlines(keepends=True)[:-3]
    (folder / "run.jsonl").write_text("".join(cut))
    page = open_agents(folder.name)
    assert "<script>" not in page.error[0].value
    assert "Start it again" in page.caption[-1].value or any("Start it again" in c.value for c in page.caption)
    assert [button.label for button in page.button if button.proto.type == "primary"] == ["Go on"]


def test_a_killed_run_is_shown_as_such_and_one_without_a_beginning_cannot_go_on(home, open_agents):
    folder = kept_job(home, "killed")
    page = open_agents(folder.name)
    assert "killed" in page.warning[0].value
    assert "Go on" not in buttons(page)
    page.button(key="agents-remove").click().run()
    assert not folder.exists()
    assert page.subheader[0].value == "Earlier runs"


def test_runs_and_notes_of_another_person_are_not_there(home, open_agents, with_decoder):
    other = kept_job(home, "done", person="bob", task="Bob's secret task")
    made_run(other / "run.jsonl", "I know.", call("final_answer", answer="bob's answer"))
    notes_folder("bob").mkdir(parents=True)
    (notes_folder("bob") / "mine.md").write_text("bob's note")
    kept_job(home, "done", number=2, task="My task")
    page = open_agents(other.name)
    assert "no such job" in page.error[0].value.replace("\\", "")
    everything = str(shown(page)) + str(buttons(page))
    assert "My task" in everything
    assert "ob's" not in everything.replace("\\", "")
    assert [run.person for run in agent_runs.every("bob")] == ["bob"]


def test_an_earlier_run_is_opened_and_left_again(home, open_agents, with_decoder):
    folder = kept_job(home, "done")
    made_run(folder / "run.jsonl", "I know.", call("final_answer", answer="the answer"))
    page = open_agents()
    page.button(key=f"agents-open-{folder.name}").click().run()
    assert page.query_params["run"] in ([folder.name], folder.name)
    assert any("the answer" in each.value for each in page.markdown)
    page.button(key="agents-back").click().run()
    assert "Run" in buttons(page)


def test_notes_are_shown_as_text(home, open_agents, with_decoder):
    notes_folder("").mkdir(parents=True)
    (notes_folder("") / "a.md").write_text(HOSTILE)
    (notes_folder("") / "link.md").symlink_to("/etc/passwd")
    page = open_agents()
    assert HOSTILE in shown(page)[0]
    assert not any("root:" in text for text in shown(page)[0])


def test_what_an_agent_inside_does_stands_inside_its_card(tmp_path):
    worker = Agent(ScriptedDecoder([call("final_answer", answer="42")]), name="worker", thought_tokens=0)
    boss = Agent(
        ScriptedDecoder([call("worker", task="Find it."), call("final_answer", answer="It is 42.")]),
        [as_tool(worker, "Finds things.")],
        thought_tokens=0,
    )
    made = cards([event for event in boss.stream("What is it?") if not isinstance(event, e.ThoughtDelta)])
    assert [card.kind for card in made] == ["action", "team", "observation", "answer"]
    assert (made[1].name, made[1].text) == ("worker", "Find it.")
    assert [card.text for card in made[1].inside] == ["42"]


def test_arguments_are_shown_whole_and_nothing_in_them_is_invisible():
    arguments = {"a": "x" * 5_000, "b": "ä\u200b\u2066\x07", "c": [1, {"d": None}]}
    text = call_json(arguments)
    assert json.loads(text) == arguments
    assert "ä\\u200b\\u2066\\u0007" in text


@pytest.mark.parametrize("named", [{"mcp": ("server --do",)}, {"base_url": "http://10.0.0.1/v1"}, {"embedded": "/x"}])
def test_who_is_no_admin_any_more_does_not_go_on_with_what_admins_alone_may_name(home, monkeypatch, named):
    from ui.browser import agent_after
    from ui.browser.person import Person

    job = jobs.find(kept_job(home, "killed", person="ann", **named).name, "ann")
    monkeypatch.setattr(agent_after, "person", lambda: Person("ann", "Ann", admin=True))
    agent_after.check_may(job)
    monkeypatch.setattr(agent_after, "person", lambda: Person("ann", "Ann", admin=False))
    with pytest.raises(UsageError, match="admins alone"):
        agent_after.check_may(job)


def test_anybody_goes_on_with_hearth_tiny(home, monkeypatch):
    from ui.browser import agent_after
    from ui.browser.person import Person

    job = jobs.find(kept_job(home, "stopped", person="ann", embedded="hearth-tiny").name, "ann")
    monkeypatch.setattr(agent_after, "person", lambda: Person("ann", "Ann", admin=False))
    agent_after.check_may(job)
