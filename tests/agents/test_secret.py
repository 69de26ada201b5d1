"""Secrets never enter prompts, events or errors."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from agents import Agent, Secret, Tool
from agents.events import Nested, Thought
from agents.secret import redactor
from agents.team import as_tool
from decoder import ScriptedDecoder, UsageError
from decoder.types import assistant, user

VALUE = "k3y/with+signs=&more"
KEY = Secret("API_KEY", VALUE)
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
RAW = VALUE.encode()
FORMS = [
    VALUE,
    quote(VALUE, safe=""),
    quote(VALUE),
    quote_plus(VALUE),
    quote(VALUE, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
    VALUE.replace("/", "\\/"),
    base64.b64encode(RAW).decode(),
    base64.urlsafe_b64encode(RAW).decode(),
    RAW.hex(),
    RAW.hex().upper(),
]
ODD = Secret("ODD", 'pä"ss\\wörd')


def call(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments})


def run(tool):
    script = ["I call.", call(tool.name), "I end.", call("final_answer", answer="ok")]
    decoder = ScriptedDecoder(script)
    events = list(Agent(decoder, [tool], secrets=[KEY], instructions=f"The key is {VALUE}.").stream(f"Use {VALUE}."))
    return decoder, events


def raises():
    raise RuntimeError(f"401 for key {VALUE}")


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_a_result_is_taken_out_however_it_is_written(form):
    decoder, events = run(Tool("leak", "Leak.", NOTHING, lambda: f"key={form}.", effect="read"))
    said = repr(events) + repr(decoder.requests)
    assert form not in said
    assert VALUE not in said
    assert "[secret API_KEY]" in said


def test_a_secret_in_an_error_is_taken_out():
    decoder, events = run(Tool("leak", "Leak.", NOTHING, raises, effect="read"))
    assert VALUE not in repr(events) + repr(decoder.requests)
    assert "401 for key [secret API_KEY]" in repr(decoder.requests)


def test_a_secret_that_is_cut_by_the_budget_leaves_no_half():
    long = "x" * 5990 + VALUE + "y" * 9000
    _, events = run(Tool("leak", "Leak.", NOTHING, lambda: long, effect="read", max_characters=8000))
    assert VALUE[:8] not in repr(events)


def test_a_secret_does_not_show_itself():
    assert VALUE not in repr(KEY) + str(KEY)


def test_a_short_secret_would_take_out_ordinary_words():
    with pytest.raises(UsageError):
        Secret("PIN", "1234")


def test_without_secrets_a_text_stays_as_it_is():
    assert redactor(())("k") == "k"


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_secret_in_json_is_taken_out(ascii_only):
    text = json.dumps({"key": ODD.value}, ensure_ascii=ascii_only)
    assert redactor([ODD])(text) == '{"key": "[secret ODD]"}'


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("value", [VALUE, VALUE + "1", VALUE + "12", "??>>~~"])
@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_a_secret_amid_other_bytes_is_taken_out_of_base64(encode, value, before, after):
    told = redactor([Secret("KEY", value)])(encode((before + value + after).encode()).decode())
    assert "[secret KEY]" in told
    assert len(told.replace("[secret KEY]", "")) <= len(base64.b64encode((before + after).encode())) + 4


@pytest.mark.parametrize("mode", ["constrained", "native"])
def test_a_secret_in_history_and_in_a_tools_description_is_taken_out(mode):
    parameters = {"type": "object", "properties": {"a": {"type": "string", "description": f"Not {VALUE}."}}}
    tool = Tool("look", f"Look with {VALUE}.", parameters, lambda a="": a, effect="read")
    decoder = ScriptedDecoder(["ok"] if mode == "native" else ["I end.", call("final_answer", answer="ok")])
    agent = Agent(decoder, [tool], secrets=[KEY], mode=mode)
    events = list(agent.stream("Go.", after=[user(f"It is {VALUE}."), assistant("Noted.")]))
    assert VALUE not in repr(events) + repr(decoder.requests)
    assert "It is [secret API_KEY]." in repr(decoder.requests)


def test_a_secret_that_the_decoder_says_by_itself_is_in_no_event_and_in_no_later_prompt():
    decoder = ScriptedDecoder([f"I know {VALUE}.", call("look"), "So.", call("final_answer", answer=VALUE)])
    events = list(
        Agent(decoder, [Tool("look", "Look.", NOTHING, lambda: 1, effect="read")], secrets=[KEY]).stream("Go.")
    )
    kept = [event for event in events if not type(event).__name__.endswith("Delta")]
    assert [event.text for event in kept if isinstance(event, Thought)] == ["I know [secret API_KEY].", "So."]
    assert VALUE not in repr(kept) + repr(decoder.requests)
    assert events[-1].result.answer == "[secret API_KEY]"


def test_a_callers_secret_is_taken_out_of_a_workers_events():
    leak = Tool("leak", "Leak.", NOTHING, lambda: f"key={VALUE}", effect="read")
    inner = ScriptedDecoder([call("leak"), call("final_answer", answer=f"It is {VALUE}.")])
    middle = ScriptedDecoder([call("inner", task=f"Use {VALUE}."), call("final_answer", answer="done")])
    outer = ScriptedDecoder([call("middle", task="Go."), call("final_answer", answer="ok")])
    worker = Agent(inner, [leak], name="inner", thought_tokens=0)
    between = Agent(middle, [as_tool(worker, "Works.")], name="middle", thought_tokens=0)
    boss = Agent(outer, [as_tool(between, "Works.")], thought_tokens=0, secrets=[KEY])
    events = list(boss.stream("Go."))
    assert any(isinstance(event, Nested) and isinstance(event.event, Nested) for event in events)
    assert VALUE not in repr(events) + repr(inner.requests) + repr(middle.requests) + repr(outer.requests)
