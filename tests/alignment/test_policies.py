"""Adapters beside their base: what is drawn, the nats between them, and the two made one."""

# ruff: noqa: E402  # imports come after the skips

import shutil
from statistics import fmean

import pytest

torch = pytest.importorskip("torch", reason="models are torch's")
pytest.importorskip("trl", reason="training stands on TRL")
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment import policies as module
from alignment.errors import ModelError, WrongBase
from alignment.merging import merge
from alignment.policies import Drawing, Policies
from decoder.embedded import EmbeddedDecoder
from decoder.errors import UsageError
from decoder.types import Sampling

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

ROWS = [{"prompt": [{"role": "user", "content": text}]} for text in ("How is bread baked?", "Why?", "Who gathers?")]
SHORT = Drawing(max_completion_length=8)


@pytest.fixture(scope="module")
def adapter(make_adapter):
    return make_adapter(seed=3)


@pytest.fixture(scope="module")
def nothing(adapter, tmp_path_factory):
    """An adapter whose weights are zero."""
    folder = tmp_path_factory.mktemp("adapters") / "zero"
    shutil.copytree(adapter, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: torch.zeros_like(each) for name, each in weights.items()}, folder / "adapter_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def policies(tiny_llama, nothing, adapter):
    return Policies(str(tiny_llama), [str(nothing), str(adapter)])


@pytest.fixture(scope="module")
def merged(tiny_llama, adapter, tmp_path_factory):
    folder = tmp_path_factory.mktemp("merged") / "whole"
    merge(str(tiny_llama), str(adapter), folder)
    return folder


def test_an_adapter_of_zeros_draws_what_the_base_draws_and_is_no_nat_away(policies):
    base, zero = (policies.draw(place, ROWS, 5, SHORT) for place in (None, 0))
    assert [each.text for each in zero] == [each.text for each in base]
    assert [each.nats for each in zero] == [each.nats for each in base] == [0.0] * len(ROWS)


def test_an_adapter_of_weights_draws_other_answers_and_is_nats_away_and_seeds_decide(policies):
    base, other = (policies.draw(place, ROWS, 5, SHORT) for place in (None, 1))
    assert [each.text for each in other] != [each.text for each in base]
    assert fmean(each.nats for each in other) > 1
    state = torch.random.get_rng_state()
    assert policies.draw(1, ROWS, 5, SHORT) == other
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [each.text for each in policies.draw(1, ROWS, 6, SHORT)] != [each.text for each in other]


def test_the_nats_are_those_of_the_answers_tokens_with_the_stop_token_and_without_padding(policies, monkeypatch):
    stop = policies.tokenizer.eos_token_id
    responses = [[40, 41, 42, stop], [50, stop], [60, 61, 62, 63]]
    monkeypatch.setattr(module, "generate", lambda *_: responses)
    found = [each.nats for each in policies.draw(1, ROWS, 0, SHORT)]
    for row, response, nats in zip(ROWS, responses, found, strict=True):
        prompt = module.encode_prompts(policies.tokenizer, [row])[0]
        after, before = (_log_probability(policies, place, prompt, response) for place in (1, None))
        assert nats == pytest.approx(after - before, abs=1e-4)


def test_the_merged_model_has_the_adapters_logits_and_is_a_decoder(policies, merged):
    ids = torch.tensor([[1, 40, 41, 42, 43]])
    whole = AutoModelForCausalLM.from_pretrained(merged)
    with torch.no_grad(), policies._as(1):
        assert torch.allclose(whole(ids).logits, policies.policy(ids).logits, atol=1e-3)
    with torch.no_grad(), policies._as(None):
        assert not torch.allclose(whole(ids).logits, policies.policy(ids).logits, atol=1e-1)
    assert AutoTokenizer.from_pretrained(merged).chat_template == policies.tokenizer.chat_template
    assert EmbeddedDecoder(merged).complete("Why?", sampling=Sampling(max_tokens=2)).usage.completion_tokens
    assert {"model.safetensors", "config.json"} <= {file.name for file in merged.iterdir()}
    assert not any("adapter" in file.name for file in merged.iterdir())


def test_nothing_is_written_over_and_pickles_and_strangers_are_refused(tiny_llama, adapter, merged, tmp_path):
    with pytest.raises(UsageError, match="is there already"):
        merge(str(tiny_llama), str(adapter), merged)
    pickled = tmp_path / "pickled"
    shutil.copytree(adapter, pickled)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors"):
        Policies(str(tiny_llama), [str(adapter), str(pickled)])
    with pytest.raises(WrongBase):
        merge(str(merged), str(adapter), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _log_probability(policies, place, prompt, response):
    with torch.no_grad(), policies._as(place):
        logits = policies.policy(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(response).unsqueeze(1)).sum().item()
