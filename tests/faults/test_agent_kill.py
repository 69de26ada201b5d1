"""An agent's process is killed, again and again, wherever it stands; resumed, it repeats no effect and forgets none."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.events import Observation, Resumed, ToolStarted
from agents.transcript import read

ROOT = Path(__file__).parents[2]
STEPS = 8
CHILD = """
import json, os, signal, sys, time
from pathlib import Path
from agents import Agent, Budget, Policy, Tool
from agents.transcript import Transcript, read
from decoder import ScriptedDecoder

folder, steps, where, at, pause = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}

def die(place, step):
    if place == where and step >= at:
        os.kill(os.getpid(), signal.SIGKILL)

def append(n):
    die("before the effect", n)
    time.sleep(pause)
    with open(folder / "effects", "a") as file:
        file.write(f"{n}\\n")
    die("after the effect", n)
    time.sleep(pause)
    return f"appended {n}"

def look(n):
    time.sleep(pause)
    return n

def hear(event):
    die(type(event).__name__, getattr(event, "step", 0))

def says(messages):
    said = sum(message.role == "assistant" for message in messages)
    step, action = said // 2 + 1, said % 2
    if not action:
        return f"Now step {step}."
    name, arguments = ("final_answer", {"answer": "done"}) if step > steps else (
        ("look" if step % 4 == 0 else "append", {"n": step}))
    return json.dumps({"name": name, "arguments": arguments})

tools = [Tool("append", "Appends.", SCHEMA, append), Tool("look", "Looks.", SCHEMA, look, effect="read")]
agent = Agent(ScriptedDecoder(says), tools, budget=Budget(steps=None, tokens=None), policy=Policy(
    ask_for=frozenset({"write"}), approve=lambda request: True))
path = folder / "run.jsonl"
with Transcript(path) as transcript:
    if transcript.recording.events:
        result = agent.resume(transcript, listeners=[hear])
    else:
        result = agent.run("Do every step.", listeners=[transcript, hear])
print(result.answer, result.spent.steps)
"""


def start(folder, where="", at=0, pause=0.0):
    command = [sys.executable, "-c", CHILD, str(folder), str(STEPS), where, str(at), str(pause)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(child):
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err.decode()
    return out.decode()


def check(folder, kills):
    """Every effect whose call has its result once; what is unknown at most once, and told to the decoder as unknown."""
    events = read(folder / "run.jsonl").events
    lines = (folder / "effects").read_text().splitlines()
    observed = {e.call.arguments["n"]: e for e in events if isinstance(e, Observation) and e.call.tool == "append"}
    assert sorted(observed) == [n for n in range(1, STEPS + 1) if n % 4]
    for n, observation in observed.items():
        unknown = "It may have taken effect; it is not repeated." in observation.text
        assert unknown or observation.text == f"appended {n}"
        assert lines.count(str(n)) <= 1 if unknown else lines.count(str(n)) == 1, n
    assert len(lines) == len(set(lines)) <= len(observed)
    assert sum(isinstance(event, Resumed) for event in events) <= kills
    begun = [event.call.id for event in events if isinstance(event, ToolStarted) and event.effect != "read"]
    assert len(begun) == len(set(begun)), "no effect was begun twice"
    return sum("may have taken effect" in observation.text for observation in observed.values())


@pytest.mark.parametrize(
    "places",
    [
        ("Thought", "ApprovalAsked", "ToolStarted"),
        ("DecoderCalled", "Action", "before the effect"),
        ("ApprovalGiven", "after the effect", "Observation"),
    ],
)
def test_killed_at_every_step_boundary_it_comes_to_its_end(tmp_path, places):
    """One run, killed in each of its steps at each of these places, or at the next of its kind."""
    kills = 0
    for step in range(1, STEPS + 1):
        for place in places[: 3 if step % 2 else 2]:  # in every other step the tool is left alone
            child = start(tmp_path, place, step)
            _, err = child.communicate(timeout=120)
            assert child.returncode in (0, -signal.SIGKILL), err.decode()
            kills += child.returncode != 0
    assert finish(start(tmp_path)) == f"done {STEPS + 1}\n"
    assert kills >= 12
    assert check(tmp_path, kills) > 0, "a call that was killed while it ran is told as unknown"


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_it_comes_to_its_end(tmp_path, seed):
    chance, kills = random.Random(seed), 0
    for _ in range(10):
        child = start(tmp_path, pause=0.05)
        try:
            child.wait(timeout=chance.uniform(0.3, 0.9))
        except subprocess.TimeoutExpired:
            child.kill()
            kills += 1
        child.communicate(timeout=60)
    assert finish(start(tmp_path)) == f"done {STEPS + 1}\n"
    assert kills
    check(tmp_path, kills)
