"""Secrets never enter prompts, events or errors."""

import base64
import json
from urllib.parse import quote

import pytest

from agents import Agent, Secret, Tool
from agents.secret import redactor
from decoder import ScriptedDecoder, UsageError

VALUE = "k3y/with+signs=&more"
KEY = Secret("API_KEY", VALUE)
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
FORMS = [VALUE, quote(VALUE, safe=""), base64.b64encode(VALUE.encode()).decode(), VALUE.encode().hex()]


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
