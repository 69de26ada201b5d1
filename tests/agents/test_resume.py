"""Going on from a transcript: wherever a run stops, nothing that is done is done again, and the end is the same."""

import asyncio
import json
from dataclasses import dataclass, replace

import pytest

from agents import Agent, Budget, Policy, Tool
from agents.errors import ReplayDiffers, TranscriptError
from agents.events import (
    Action,
    ApprovalAsked,
    ApprovalGiven,
    DecoderCalled,
    FinalAnswer,
    Hint,
    Nested,
    Observation,
    Resumed,
    RunEnded,
    RunStarted,
    ThoughtDelta,
    ToolStarted,
)
from agents.replay import areplay, prompts_of, replay
from agents.team import as_tool
from agents.transcript import Transcript, read
from decoder import RecordedDecoder, ScriptedDecoder
from decoder.types import Message, ToolCall

NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


class Crash(Exception):
    """What a test stops a run with."""


def call(tool, **arguments):
    return {"name": tool, "arguments": arguments}


def says(*turns):
    """A decoder that knows by the prompt alone how far the run is, as a model does."""
    script = [turn if isinstance(turn, str) else json.dumps(turn) for turn in turns]
    return ScriptedDecoder(lambda messages: script[sum(m.role == "assistant" for m in messages)])


class World:
    """An agent's tools and what they did, its approver, and how often each was asked."""

    def __init__(self):
        self.done, self.looked, self.asked = [], [], []

    def tools(self, **changed):
        save = Tool("save", "Saves a number.", NUMBER, lambda n: self.done.append(n) or f"saved {n}")
        look = Tool("look", "Looks at a number.", NUMBER, lambda n: self.looked.append(n) or f"page {n}", effect="read")
        put = replace(save, name="put", idempotent=True, **changed)
        return [save, look, put]

    def approve(self, request):
        self.asked.append(request.call.arguments["n"])
        return True

    def agent(self, decoder, **options):
        options.setdefault("policy", Policy(approve=self.approve))
        return Agent(decoder, self.tools(), **options)


PLAN = (
    "First save.", call("save", n=1),
    "Then look.", call("look", n=2),
    "Save again, now with a yes.", call("save", n=3),
    "Look again.", call("look", n=2),
    "Put.", call("put", n=4),
    "Answer.", call("final_answer", answer="all saved"),
)  # fmt: skip


def crashes(kinds, position, when, transcript):
    """Listeners that stop the run at an event: before its line is written, or after."""
    heard = []

    def crash(event):
        heard.append(event)
        if len(heard) == position:
            raise Crash(type(event).__name__)

    return [crash, transcript] if when == "before" else [transcript, crash]


def whole(tmp_path, agent, task="Do it.", **options):
    """The transcript of a run without interruption."""
    path = tmp_path / "whole.jsonl"
    return path, agent.run(task, listeners=[Transcript(path)], **options)


def plain(event):
    """An event without what a clock says."""
    if isinstance(event, RunEnded):
        spent = replace(event.result.spent, seconds=0.0)
        return RunEnded(replace(event.result, run_id="", spent=spent))
    if isinstance(event, (DecoderCalled, Observation)):
        return replace(event, seconds=0.0)
    return replace(event, run_id="") if isinstance(event, RunStarted) else event


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_stops_at_any_event_goes_on_to_the_same_end(tmp_path, when):
    complete, _ = whole(tmp_path, World().agent(says(*PLAN)))
    events = read(complete).events
    for position in range(2 if when == "before" else 1, len(events) + 1):
        world, path = World(), tmp_path / f"{position}.jsonl"
        agent = world.agent(says(*PLAN))
        with Transcript(path) as transcript, pytest.raises(Crash):
            agent.run("Do it.", listeners=crashes(events, position, when, transcript))
        stopped = events[position - 1]
        result = agent.resume(path)
        assert result.answer == "all saved"
        assert result.spent.steps == 6
        unknown = stopped.call.arguments["n"] if interrupts(stopped, when) else None
        told = [e for e in read(path).events if isinstance(e, Observation) and "was interrupted" in e.text]
        assert [e.call.arguments["n"] for e in told] == ([unknown] if unknown in (1, 3) else []), "4 is idempotent"
        done = {1: 1, 3: 1, 4: 1}
        if unknown is not None and when == "after":
            done[unknown] = int(unknown == 4)
        if unknown == 4 and when == "before":
            done[4] = 2
        assert {n: world.done.count(n) for n in (1, 3, 4)} == done, f"stopped {when} {stopped}"
        lost_yes = isinstance(stopped, ApprovalGiven) and when == "before"
        assert len(world.asked) == 2 + lost_yes
        assert replay(path, agent).finished


def interrupts(event, when):
    """Whether a stop at this event leaves a call with an effect begun and unknown."""
    return (isinstance(event, ToolStarted) and when == "after" and event.effect != "read") or (
        isinstance(event, Observation) and when == "before" and event.call.tool != "look"
    )


def test_an_interrupted_run_that_lost_nothing_has_the_events_of_one_that_was_not(tmp_path):
    complete, expected = whole(tmp_path, World().agent(says(*PLAN)))
    events = read(complete).events
    safe = [
        n for n, event in enumerate(events, 1) if not isinstance(event, (ToolStarted, ApprovalAsked, DecoderCalled))
    ]
    for position in safe[:-1]:
        world, path = World(), tmp_path / f"{position}.jsonl"
        agent = world.agent(says(*PLAN))
        with Transcript(path) as transcript, pytest.raises(Crash):
            agent.run("Do it.", listeners=crashes(events, position, "after", transcript))
        result = agent.resume(path)
        again = [event for event in read(path).events if not isinstance(event, Resumed)]
        assert list(map(plain, again)) == list(map(plain, events))
        assert replace(result.spent, seconds=0) == replace(expected.spent, seconds=0)


def test_a_read_that_was_begun_is_made_again_and_an_effect_is_not(tmp_path):
    decoder = says("Look.", call("look", n=1), "Save.", call("save", n=2), "Done.", call("final_answer", answer="ok"))
    world = World()
    agent = world.agent(decoder, policy=Policy(ask_when_untrusted=frozenset()))
    for begun in ("look", "save"):
        stop = [lambda event, begun=begun: stop_at(event, begun)]
        path = tmp_path / "run.jsonl"
        with Transcript(path) as transcript, pytest.raises(Crash):
            if begun == "look":
                agent.run("Do it.", listeners=[transcript, *stop])
            else:
                agent.resume(transcript, listeners=stop)
    assert (world.looked, world.done) == ([1], [])
    result = agent.resume(path)
    assert (result.answer, world.looked, world.done) == ("ok", [1], [])
    assert result.spent.tool_calls == 2
    told = decoder.requests[-1].messages[-1].text + decoder.requests[-2].messages[-1].text
    assert "It may have taken effect; it is not repeated." in told
    assert replay(path, agent).finished


def stop_at(event, tool):
    if isinstance(event, ToolStarted) and event.call.tool == tool:
        raise Crash


def test_a_yes_is_not_asked_for_again_and_a_no_stays_a_no(tmp_path):
    for answer, done in ((True, []), (False, [])):
        asked, saved = [], []
        tool = Tool("save", "Saves.", NUMBER, lambda n, saved=saved: saved.append(n) or "ok")
        policy = Policy(
            ask_for=frozenset({"write"}), approve=lambda request, a=answer, asked=asked: asked.append(request) or a
        )
        agent = Agent(says("S.", call("save", n=1), "D.", call("final_answer", answer="ok")), [tool], policy=policy)
        path = tmp_path / f"{answer}.jsonl"
        with Transcript(path) as transcript, pytest.raises(Crash):
            agent.run("Save.", listeners=[transcript, stops_after("ApprovalGiven")])
        assert (saved, len(asked)) == (done, 1)
        result = agent.resume(path)
        assert len(asked) == 1
        assert saved == ([1] if answer else [])
        assert (result.spent.approvals_asked, result.spent.approvals_given) == (1, int(answer))


def stops_after(kind, count=1):
    seen = []

    def stop(event):
        seen.extend([event] if type(event).__name__ == kind else [])
        if len(seen) == count and seen[-1] is event:
            raise Crash(kind)

    return stop


def test_what_a_run_has_spent_counts_for_the_budget_of_its_rest(tmp_path):
    plan = [turn for n in range(8) for turn in (f"Look {n}.", call("look", n=n))]
    decoder = says(*plan[:6], "Stop.", call("final_answer", answer="cut short"))
    agent = World().agent(decoder, budget=Budget(tool_calls=3, cost=1.0, prompt_price=1.0, completion_price=2.0))
    path = tmp_path / "run.jsonl"
    with Transcript(path) as transcript, pytest.raises(Crash):
        agent.run("Look.", listeners=[transcript, stops_after("Observation", 2)])
    before = [event for event in read(path).events if isinstance(event, DecoderCalled)]
    result = agent.resume(path)
    assert result.spent.tool_calls == 3
    assert "No tool call is left in the budget." in str(read(path).events)
    calls = [event for event in read(path).events if isinstance(event, DecoderCalled)]
    assert result.spent.prompt_tokens == sum(event.usage.prompt_tokens for event in calls)
    assert result.spent.cost == pytest.approx(sum(agent.budget.price(event.usage) for event in calls))
    assert result.spent.seconds >= sum(event.seconds for event in before)


def test_a_loop_that_was_half_seen_is_seen_after_the_crash(tmp_path):
    plan = ("L.", call("look", n=1), "L.", call("look", n=1), "L.", call("look", n=1), "A.",
            call("final_answer", answer="looped"))  # fmt: skip
    complete, _ = whole(tmp_path, World().agent(says(*plan)))
    events = read(complete).events
    assert [event.force_answer for event in events if isinstance(event, Hint)] == [False, True]
    for position in range(1, len(events)):
        path, agent = tmp_path / f"{position}.jsonl", World().agent(says(*plan))
        with Transcript(path) as transcript, pytest.raises(Crash):
            agent.run("Do it.", listeners=crashes(events, position, "after", transcript))
        assert agent.resume(path).answer == "looped"
        hints = [event for event in read(path).events if isinstance(event, Hint)]
        assert [hint.force_answer for hint in hints] == [False, True], events[position - 1]


def test_taint_outlives_the_crash(tmp_path):
    world, path = World(), tmp_path / "run.jsonl"
    agent = world.agent(says("L.", call("look", n=1), "S.", call("save", n=2), "D.", call("final_answer", answer="k")))
    with Transcript(path) as transcript, pytest.raises(Crash):
        agent.run("Do it.", listeners=[transcript, stops_after("Observation")])
    result = agent.resume(path)
    assert world.asked == [2]
    assert result.untrusted


def test_parallel_calls_are_finished_and_not_begun_again(tmp_path):
    action = [call("look", n=1), call("save", n=2), call("save", n=3), call("look", n=4)]
    decoder = says(json.dumps(action), json.dumps([call("final_answer", answer="ok")]))
    for count in range(1, 5):
        world, path = World(), tmp_path / f"{count}.jsonl"
        agent = world.agent(decoder, parallel=True, thought_tokens=0)
        with Transcript(path) as transcript, pytest.raises(Crash):
            agent.run("Do it.", listeners=[transcript, stops_after("Observation", count)])
        assert agent.resume(path).ok
        assert sorted(world.done) == [2, 3]
        assert world.asked == [], "what the same action read did not taint its own calls"
        assert replay(path, agent).finished


def test_a_finished_run_gives_its_result_and_asks_nobody(tmp_path):
    @dataclass
    class Sum:
        total: int

    path = tmp_path / "run.jsonl"
    decoder = ScriptedDecoder(["…", json.dumps(call("final_answer", total=4))])
    agent = Agent(decoder, output=Sum)
    expected = agent.run("Add.", listeners=[Transcript(path)])
    size = path.stat().st_size
    assert agent.resume(path) == expected
    assert agent.resume(path).answer == Sum(4)
    assert [type(event) for event in agent.resume_stream(path)] == [RunEnded]
    assert path.stat().st_size == size


def test_an_answer_with_a_type_survives_a_crash_before_the_end(tmp_path):
    @dataclass
    class Sum:
        total: int

    path = tmp_path / "run.jsonl"
    agent = Agent(says("…", call("final_answer", total=4)), output=Sum)
    with Transcript(path) as transcript, pytest.raises(Crash):
        agent.run("Add.", listeners=[transcript, stops_after("FinalAnswer")])
    assert agent.resume(path).answer == Sum(4)


def test_a_resumed_stream_has_deltas_and_begins_with_resumed(tmp_path):
    path, agent = tmp_path / "run.jsonl", World().agent(says(*PLAN))
    with Transcript(path) as transcript, pytest.raises(Crash):
        agent.run("Do it.", listeners=[transcript, stops_after("Observation")])
    events = list(agent.resume_stream(path))
    assert events[0] == Resumed(1)
    assert any(isinstance(event, ThoughtDelta) for event in events)
    assert isinstance(events[-1], RunEnded)


def test_native_calls_go_on_too(tmp_path):
    def native(messages):
        said = sum(message.role == "assistant" for message in messages)
        turns = [
            Message("assistant", "I save.", tool_calls=(ToolCall("call_0", "save", '{"n": 1}'),)),
            Message("assistant", "", tool_calls=(ToolCall("call_0", "save", '{"n": 2}'),)),
            Message("assistant", "done"),
        ]
        return turns[said]

    complete, _ = whole(tmp_path, World().agent(ScriptedDecoder(native), mode="native"))
    events = read(complete).events
    for position in range(1, len(events)):
        world, path = World(), tmp_path / f"{position}.jsonl"
        agent = world.agent(ScriptedDecoder(native), mode="native")
        with Transcript(path) as transcript, pytest.raises(Crash):
            agent.run("Do it.", listeners=crashes(events, position, "after", transcript))
        assert agent.resume(path).answer == "done"
        lost = isinstance(events[position - 1], ToolStarted)
        assert len(world.done) == 2 - lost
        assert replay(path, agent).finished


def test_an_agent_that_has_changed_is_refused_unless_told_to_go_on(tmp_path):
    path, world = tmp_path / "run.jsonl", World()
    agent = world.agent(says(*PLAN))
    with Transcript(path) as transcript, pytest.raises(Crash):
        agent.run("Do it.", listeners=[transcript, stops_after("Observation")])
    for changed, said in (
        (replace(agent, instructions="Be quick."), "its system prompt"),
        (replace(agent, tools=world.tools()[:2]), "its tools"),
        (replace(agent, tools=world.tools(effect="read")), "what its tools promise"),
        (replace(agent, output=Sum), "its system prompt"),
    ):
        with pytest.raises(TranscriptError, match=said):
            changed.resume(path)
    with pytest.raises(TranscriptError, match="thought_tokens"):
        replace(agent, thought_tokens=0).resume(path, despite_changes=True)
    result = replace(agent, instructions="Be quick.").resume(path, despite_changes=True)
    assert result.answer == "all saved"
    assert "Be quick." not in agent.decoder.requests[-1].messages[0].text


@dataclass
class Sum:
    total: int


def test_an_open_transcript_and_an_event_loop_do_as_well(tmp_path):
    path, agent = tmp_path / "run.jsonl", World().agent(says(*PLAN))

    async def stop_and_go_on():
        with Transcript(path) as transcript, pytest.raises(Crash):
            await agent.arun("Do it.", listeners=[transcript, stops_after("Action", 2)])
        with Transcript(path) as transcript:
            result = await agent.aresume(transcript)
        return result, await areplay(path, agent)

    result, replayed = asyncio.run(stop_and_go_on())
    assert result.answer == "all saved"
    assert replayed.finished


def test_a_file_without_a_run_cannot_be_resumed(tmp_path):
    (tmp_path / "run.jsonl").touch()
    with pytest.raises(TranscriptError, match="holds no run"):
        World().agent(says(*PLAN)).resume(tmp_path / "run.jsonl")


# Forks


def test_a_fork_shares_the_steps_up_to_its_own_and_leaves_the_first_run_alone(tmp_path):
    world = World()
    agent = world.agent(says(*PLAN))
    path, result = whole(tmp_path, agent)
    before = path.read_bytes()
    other = says(*PLAN[:6], "Enough.", call("final_answer", answer="half saved"))
    fork = tmp_path / "fork.jsonl"
    forked = replace(agent, decoder=other).fork(path, 3, to=fork)
    assert forked.answer == "half saved"
    assert forked.run_id != result.run_id
    assert path.read_bytes() == before
    mine, theirs = read(fork).events, read(path).events
    resumed = next(n for n, event in enumerate(mine) if isinstance(event, Resumed))
    assert mine[1:resumed] == theirs[1:resumed]
    assert mine[0].forked_from == f"{result.run_id}:3"
    assert world.done == [1, 3, 4], "no effect of a shared step was made again"
    assert replay(fork, replace(agent, decoder=other)).finished


def test_a_fork_can_begin_at_every_step_and_do_another_task(tmp_path):
    agent = World().agent(says(*PLAN))
    path, _ = whole(tmp_path, agent)
    for step in range(6):
        asked = World()
        forked = asked.agent(says(*PLAN)).fork(path, step, task="Do something else.", to=tmp_path / f"{step}.jsonl")
        assert forked.messages[0].text == "Do something else."
        assert asked.done == [n for n, at in ((1, 1), (3, 3), (4, 5)) if at > step]
        assert replay(tmp_path / f"{step}.jsonl", agent).finished


@pytest.mark.parametrize(("step", "said"), [(6, "gave the answer"), (7, "no step 7"), (-1, "no step -1")])
def test_a_fork_needs_a_step_that_something_can_follow(tmp_path, step, said):
    agent = World().agent(says(*PLAN))
    path, _ = whole(tmp_path, agent)
    with pytest.raises(TranscriptError, match=said):
        agent.fork(path, step)


def test_a_fork_that_was_cut_off_while_it_was_made_is_not_resumed(tmp_path):
    agent = World().agent(says(*PLAN))
    path, _ = whole(tmp_path, agent)
    fork = tmp_path / "fork.jsonl"
    agent.fork(path, 3, to=fork)
    lines = fork.read_bytes().splitlines(keepends=True)
    fork.write_bytes(b"".join(lines[:8]))
    with pytest.raises(TranscriptError, match="Fork again"):
        agent.resume(fork)
    with pytest.raises(TranscriptError, match="holds a run already"):
        agent.fork(path, 3, to=fork)


# Replays


def test_a_replay_asks_nobody_and_finds_everything_equal(tmp_path):
    world = World()
    path, _ = whole(tmp_path, world.agent(says(*PLAN)))
    again = World()
    replayed = replay(path, again.agent(ScriptedDecoder([])))
    assert replayed.events == len(read(path).events)
    assert replayed.prompts == 12
    assert (again.done, again.looked, again.asked) == ([], [], [])


def test_the_prompts_of_a_run_are_made_from_its_transcript_alone(tmp_path):
    decoder = says(*PLAN)
    path, _ = whole(tmp_path, World().agent(decoder))
    assert [messages for _, messages in prompts_of(read(path))] == [request.messages for request in decoder.requests]
    assert replay(path).prompts == len(decoder.requests)


def test_a_replay_with_a_recorded_decoder_reads_its_completions_again(tmp_path):
    recording = tmp_path / "decoder.jsonl"
    path, _ = whole(tmp_path, World().agent(RecordedDecoder(recording, says(*PLAN))))
    again = World()
    assert replay(path, again.agent(ScriptedDecoder([])), RecordedDecoder(recording)).finished
    assert again.done == []


def test_a_changed_system_prompt_is_told_with_its_diff(tmp_path):
    path, _ = whole(tmp_path, World().agent(says(*PLAN)))
    with pytest.raises(ReplayDiffers, match="the system prompt differs") as raised:
        replay(path, World().agent(says(*PLAN), instructions="Be quick."))
    assert "+Be quick." in raised.value.diff


def test_a_changed_word_around_the_events_is_told_with_its_step(tmp_path, monkeypatch):
    path, _ = whole(tmp_path, World().agent(says(*PLAN)))
    monkeypatch.setattr("agents.prompt.THINK", "Think!")
    with pytest.raises(ReplayDiffers, match="step 1: the prompt for its thought"):
        replay(path)


def test_a_changed_policy_is_told_with_the_event_that_it_changes(tmp_path):
    path, _ = whole(tmp_path, World().agent(says(*PLAN)))
    with pytest.raises(ReplayDiffers, match="step 3"):
        replay(path, World().agent(says(*PLAN), policy=Policy(ask_when_untrusted=frozenset())))
    with pytest.raises(ReplayDiffers, match="step 1") as raised:
        replay(path, World().agent(says(*PLAN), policy=Policy(deny=frozenset({"save"}))))
    assert "Not allowed" in raised.value.diff


def test_a_changed_budget_is_told(tmp_path):
    path, _ = whole(tmp_path, World().agent(says(*PLAN)))
    with pytest.raises(ReplayDiffers):
        replay(path, World().agent(says(*PLAN), budget=Budget(steps=2)))


def test_what_was_recorded_and_changed_afterwards_is_told(tmp_path):
    path, _ = whole(tmp_path, World().agent(says(*PLAN)))
    lines = path.read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if json.loads(line)["kind"] == "Observation")
    lines[at] = lines[at].replace("saved 1", "saved 9")
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ReplayDiffers, match="step 2: the prompt"):
        replay(path)


def test_reads_side_by_side_are_replayed_in_the_order_in_which_they_ended(tmp_path):
    async def slow(n):
        await asyncio.sleep(0.02 * (5 - n))
        return f"number {n}"

    action = json.dumps([call("wait", n=n) for n in range(5)])
    decoder = says(action, json.dumps([call("final_answer", answer="ok")]))
    agent = Agent(decoder, [Tool("wait", "Waits.", NUMBER, slow, effect="read")], parallel=True, thought_tokens=0)
    path, _ = whole(tmp_path, agent)
    order = [event.call.arguments["n"] for event in read(path).events if isinstance(event, Observation)]
    assert order == [4, 3, 2, 1, 0]
    for _ in range(5):
        assert replay(path, agent).finished


def team(done):
    save = Tool("save", "Saves.", NUMBER, lambda n: done.append(n) or "saved")
    worker = Agent(says(call("save", n=1), call("final_answer", answer="worked")), [save], "worker", thought_tokens=0)
    boss = says(call("worker", task="Save 1."), call("final_answer", answer="ok"))
    return Agent(boss, [as_tool(worker, "Saves.")], "boss", thought_tokens=0)


def test_a_team_is_replayed_and_its_bill_restored(tmp_path):
    done = []
    path, result = whole(tmp_path, team(done))
    assert done == [1]
    assert replay(path, team(done)).finished
    assert done == [1]
    assert result.spent.tool_calls == 2


@pytest.mark.parametrize("kind", ["RunStarted", "Action", "ToolStarted", "Observation"])
def test_a_worker_that_began_an_effect_is_not_begun_again(tmp_path, kind):
    """Its caller's transcript knows of the effect before it begins."""
    done, path = [], tmp_path / "run.jsonl"
    stop = stops_after(kind)
    with Transcript(path) as transcript, pytest.raises(Crash):
        team(done).run("Go.", listeners=[transcript, lambda e: stop(e.event) if isinstance(e, Nested) else None])
    assert done == ([1] if kind == "Observation" else [])
    agent = team(done)
    result = agent.resume(path)
    assert result.ok
    assert done == ([] if kind == "ToolStarted" else [1])
    calls = [event for event in read(path).events if isinstance(event, DecoderCalled)]
    nested = [e.event for e in read(path).events if isinstance(e, Nested) and isinstance(e.event, DecoderCalled)]
    assert result.spent.completion_tokens == sum(event.usage.completion_tokens for event in calls + nested)
    assert replay(path, agent).finished


def test_an_answer_of_the_right_shape_is_in_the_events(tmp_path):
    path, _ = whole(tmp_path, World().agent(says(*PLAN)))
    kinds = [type(event) for event in read(path).events]
    assert kinds.count(FinalAnswer) == kinds.count(RunEnded) == 1
    assert kinds.count(Action) == 6
