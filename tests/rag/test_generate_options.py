"""An answer's sampling and prompt in place of the room's own."""

import pytest

from decoder.scripted import ScriptedDecoder
from decoder.types import Sampling
from prompts.folders import load
from prompts.grounded import grounded_answer, is_grounded
from prompts.template import Prompt
from prompts.turns import Turn
from prompts.variables import Variable
from rag.generate import MOST_TOKENS, generate
from rag.support import Support
from rag.types import Hit, Passage

HIT = Hit(Passage("1", "The rent is 900 euros a month.", "lease.txt", "Lease", 0, 30, 1, 1), 1.0)
BRIEF = Prompt(
    "brief",
    variables=(Variable("question"), Variable("passages", "untrusted")),
    messages=(Turn("system", "Be brief. {{ untrusted_rule }}"), Turn("user", "{{ passages }}\n\nQ: {{ question }}")),
)


async def asked(length=4096, **options):
    """The request that a decoder got."""
    decoder = ScriptedDecoder(lambda messages: "The rent is 900 euros a month [1].", context_length=length)
    parts = [part async for part in generate("How much is the rent?", [HIT], Support((), 0.9), decoder, **options)]
    assert parts[-1].citations
    return decoder.requests[0]


async def test_greedy_and_short_unless_said_otherwise():
    assert (await asked()).sampling == Sampling(temperature=0.0, max_tokens=MOST_TOKENS)


async def test_sampling_reaches_the_decoder_and_keeps_greedy_where_it_does_not_say():
    request = await asked(sampling=Sampling(top_p=0.9, seed=3))
    assert request.sampling == Sampling(temperature=0.0, top_p=0.9, seed=3, max_tokens=MOST_TOKENS)
    assert (await asked(sampling=Sampling(temperature=0.7))).sampling.temperature == 0.7


@pytest.mark.parametrize(("wanted", "given"), [(100, 100), (2000, 2000), (9000, 2048)])
async def test_a_longer_answer_has_half_of_the_context_at_most(wanted, given):
    assert (await asked(sampling=Sampling(max_tokens=wanted))).sampling.max_tokens == given


async def test_a_prompt_of_ones_own_takes_the_place_of_the_librarys():
    system, question = (await asked(prompt=BRIEF)).messages
    assert system.text.startswith("Be brief.") and question.text.endswith("Q: How much is the rent?")
    assert "900 euros" in question.text


def test_the_librarys_own_prompt_given_by_name_says_the_same():
    given = ("What?", ["text"], ["a.md"])
    assert grounded_answer(*given, prompt=load("grounded-answer")) == grounded_answer(*given)


@pytest.mark.parametrize(("name", "fits"), [("grounded-answer", True), ("zero-shot", False), ("output-bullets", False)])
def test_which_prompts_can_be_asked_with_a_question_and_passages(name, fits):
    assert is_grounded(load(name)) is fits
    assert is_grounded(BRIEF)
