"""The Prometheus text of a server's /metrics, and what its counters say per second."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import ConnectFailed
from decoder.metrics import Rates, Reading, Sample, ask, parse, rates, reading

TEXT = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:prefix_cache_queries_total{engine="0",model_name="tiny"} 1000.0
vllm:prefix_cache_hits_total{engine="0",model_name="tiny"} 400.0
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 1.2e+03
vllm:generation_tokens_total{engine="0",model_name="tiny"} 300.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="tiny"} 9.0
"""


def test_a_vllm_text_is_read():
    assert reading(TEXT, 5.0) == Reading(5.0, 3, 1, 0.25, 1000, 400, 1200, 300)


def test_engines_add_up_and_their_cache_use_is_averaged():
    both = TEXT + TEXT.replace('engine="0"', 'engine="1"').replace("} 0.25", "} 0.75")
    found = reading(both, 0.0)
    assert (found.running, found.prompt_tokens, found.cache_usage) == (6, 2400, 0.5)


def test_another_server_says_nothing():
    assert reading("up 1\n<html>\n", 0.0) == Reading(0.0)


def test_rates_are_increases_over_seconds():
    before = Reading(10.0, prefix_queries=100, prefix_hits=40, prompt_tokens=1000, generation_tokens=50)
    after = Reading(15.0, prefix_queries=200, prefix_hits=120, prompt_tokens=1500, generation_tokens=60)
    assert rates(before, after) == Rates(prompt=100.0, generation=2.0, prefix_hits=0.8)


def test_a_counter_that_fell_began_again_at_zero():
    before = Reading(10.0, prompt_tokens=1000, generation_tokens=500)
    after = Reading(14.0, prompt_tokens=80, generation_tokens=20)
    assert rates(before, after) == Rates(20.0, 5.0, None)


def test_nothing_looked_up_is_no_share_of_hits():
    one = Reading(1.0, prefix_queries=5, prefix_hits=5)
    assert rates(one, Reading(2.0, prefix_queries=5, prefix_hits=5)).prefix_hits is None
    assert rates(one, Reading(1.0, prompt_tokens=1)).prompt is None


def test_a_server_that_is_not_there_is_an_error():
    with pytest.raises(ConnectFailed):
        ask("http://127.0.0.1:9/v1", 0.0)


LABELS = st.dictionaries(st.from_regex(r"[a-z_]{1,6}", fullmatch=True), st.text(max_size=8), max_size=3)
NAMES = st.from_regex(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,8}", fullmatch=True)
VALUES = st.floats(allow_nan=False)


def _written(sample):
    def escaped(text):
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    labels = ",".join(f'{name}="{escaped(value)}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}} {sample.value!r}" if labels else f"{sample.name} {sample.value!r}"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.builds(Sample, NAMES, LABELS, VALUES), max_size=5))
def test_what_is_written_is_read_back(samples):
    assert list(parse("\n".join(map(_written, samples)) + "\n")) == samples


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text):
    reading(text, 0.0)
