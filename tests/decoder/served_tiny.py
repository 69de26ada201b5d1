"""vLLM serves hearth-tiny as it is packaged: `pytest tests/decoder/served_tiny.py`.

Run by name, since the suite starts vLLM once, with random weights: its tests want a model that satisfies no constraint
by chance and that random adapters fit. A second start would take a minute or more of every `make test`.
"""

import pytest

from decoder import EmbeddedDecoder, Sampling
from decoder.client import ServedDecoder
from decoder.constraint import choice
from decoder.server import ServeOptions, serve

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
QUESTION = "What is 12 + 30?"


@pytest.fixture(scope="module")
def server(hearth_tiny, tmp_path_factory):
    options = ServeOptions(kv_cache_gib=1, enforce_eager=True, start_timeout=500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(tmp_path_factory.mktemp("vllm-home")))
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        with serve("hearth-tiny", options) as running:
            yield running


async def test_it_answers_under_its_name_in_its_whole_context(server):
    async with ServedDecoder(server.base_url, "hearth-tiny") as served:
        assert await served.acontext_length() == 2048
        answer = await served.acomplete(QUESTION, sampling=Sampling(temperature=0.0, max_tokens=24))
        assert answer.text
        held = await served.acomplete(QUESTION, constraint=choice(["42", "43"]))
        assert held.text in ("42", "43")


async def test_it_reads_what_the_embedded_one_reads(server):
    """The text may differ in a rare tie between tokens: the sums are made in another order."""
    greedy = Sampling(temperature=0.0, max_tokens=1, logprobs=5)
    async with ServedDecoder(server.base_url, "hearth-tiny") as served, EmbeddedDecoder("hearth-tiny") as embedded:
        there, here = [await each.acomplete(QUESTION, sampling=greedy) for each in (served, embedded)]
        assert there.usage.prompt_tokens == here.usage.prompt_tokens
        one, other = (dict(each.choices[0].logprobs[0].top) for each in (there, here))
    shared = one.keys() & other.keys()
    assert len(shared) >= 3
    assert all(one[token] == pytest.approx(other[token], abs=0.25) for token in shared)
