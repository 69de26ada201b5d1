"""Scores outside of training are those of training: saved and loaded, in batches, of texts and of token ids."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from alignment import scoring
from alignment.errors import ModelError, WrongBase
from alignment.reward_model import new_reward_model
from alignment.reward_rows import RankingCollator, encode, tokenised
from alignment.scoring import RewardConfigFile, RewardModel, scores_of, vocabulary_hash
from alignment.sections import LoraSection, ModelSection
from decoder.errors import UsageError

# peft 0.21 asks transformers 5.19 for a name that is going out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

PROMPTS = ["How is bread baked? ", "Where is the hearth? ", "", "Who? "]
COMPLETIONS = ["Slowly, in an oven that is hot.", "In the middle of the house.", "Nothing was asked.", "I."]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["whole", "adapter"])
def saved(request, tiny_llama, tmp_path_factory):
    """A reward model's folder, and the network that was saved there."""
    folder = tmp_path_factory.mktemp(request.param)
    lora = LoraSection() if request.param == "adapter" else None
    network = new_reward_model(ModelSection(path=str(tiny_llama)), lora, seed=3)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    network.config.pad_token_id = tokenizer.pad_token_id
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    RewardConfigFile(mean=0.5, std=2.0, count=8, vocabulary_sha256=vocabulary_hash(tokenizer)).write(folder)
    return folder, network.eval()


@pytest.fixture(scope="module")
def model(saved):
    return RewardModel.load(saved[0], device="cpu")


def test_a_loaded_model_scores_as_the_one_that_was_saved(saved, model):
    ids = [encode(model.tokenizer, p, c) for p, c in zip(PROMPTS, COMPLETIONS, strict=True)]
    assert model.score(PROMPTS, COMPLETIONS) == scores_of(saved[1], ids, model.tokenizer.pad_token_id)
    assert model.score(PROMPTS, COMPLETIONS) == RewardModel.load(str(saved[0]), "cpu").score(PROMPTS, COMPLETIONS)


def test_a_score_is_the_number_that_the_trainers_batch_gives(saved, model):
    row = {"prompt": PROMPTS[0], "responses": COMPLETIONS, "ranks": [1, 2, 3, 4]}
    batch = RankingCollator(model.tokenizer.pad_token_id)([tokenised(model.tokenizer, row, 0)])
    with torch.no_grad():
        logits = saved[1](input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert model.score([PROMPTS[0]] * 4, COMPLETIONS) == pytest.approx(logits.squeeze(-1).tolist(), abs=1e-5)


def test_scores_do_not_depend_on_the_others_of_a_batch(model, monkeypatch):
    together = model.score(PROMPTS, COMPLETIONS)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 1)
    assert model.score(PROMPTS, COMPLETIONS) == pytest.approx(together, abs=1e-5)
    assert model.score([], []) == []


def test_an_end_that_is_written_out_and_token_ids_score_the_same(model):
    said = model.score(PROMPTS[:1], COMPLETIONS[:1])
    assert model.score(PROMPTS[:1], [COMPLETIONS[0] + model.tokenizer.eos_token]) == said
    ids = model.tokenizer(PROMPTS[0] + COMPLETIONS[0])["input_ids"]
    assert model.score_ids([ids]) == model.score_ids([[*ids, model.tokenizer.eos_token_id]]) == said


def test_messages_are_written_by_the_chat_template(model):
    prompt = [{"role": "user", "content": "Bread?"}]
    as_messages = model.score([prompt], [[{"role": "assistant", "content": "Baked."}]])
    assert as_messages == model.score([prompt], ["Baked."])
    rendered = model.tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    assert model.score([rendered], ["Baked."]) == as_messages


def test_normalised_scores_are_shifted_and_scaled_by_the_training_set(model):
    raw = model.score(PROMPTS, COMPLETIONS)
    assert model.score(PROMPTS, COMPLETIONS, normalised=True) == pytest.approx([(s - 0.5) / 2 for s in raw])


def test_another_tokenizer_is_refused_with_both_names(saved, model, tiny_llama, tmp_path):
    model.check_tokenizer(AutoTokenizer.from_pretrained(tiny_llama))
    other = AutoTokenizer.from_pretrained(tiny_llama)
    other.add_tokens(["<|more|>"])
    other.save_pretrained(tmp_path)
    with pytest.raises(ModelError) as caught:
        RewardModel.load(saved[0], "cpu", tokenizer=AutoTokenizer.from_pretrained(tmp_path))
    assert str(saved[0]) in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_decoder_is_no_reward_model(tiny_llama, make_adapter, caplog):
    with pytest.raises(ModelError, match="no reward model"):
        RewardModel.load(tiny_llama, "cpu")
    from alignment.reward_model import trained_network

    with pytest.raises(ModelError, match="no reward model"):
        trained_network(make_adapter(1))


def test_an_adapter_on_another_base_is_refused(saved, tiny_llama, tmp_path):
    if not (saved[0] / "adapter_config.json").exists():
        return
    from transformers import LlamaConfig, LlamaForCausalLM

    other = LlamaConfig.from_pretrained(tiny_llama, num_hidden_layers=1)
    LlamaForCausalLM(other).save_pretrained(tmp_path)
    with pytest.raises(WrongBase) as caught:
        RewardModel.load(saved[0], "cpu", base=str(tmp_path))
    assert str(tiny_llama) in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_completion_that_the_model_cannot_read_is_refused_by_its_index(model):
    with pytest.raises(ModelError, match=r"completion 1 .*4096"):
        model.score(["", ""], ["a", "bread " * 5000])


def test_as_many_prompts_as_completions(model):
    with pytest.raises(UsageError, match="1 prompts for 2"):
        model.score(["a"], ["b", "c"])


@pytest.mark.parametrize("text", ["[]", "{", '{"unknown": 1}'])
def test_a_spoilt_configuration_is_refused(tmp_path, text):
    (tmp_path / scoring.CONFIG).write_text(text)
    with pytest.raises(ModelError, match="cannot be read"):
        scoring.read_config(tmp_path)


def test_a_reward_model_of_others_has_no_configuration_and_no_shift(tmp_path):
    assert scoring.read_config(tmp_path) == RewardConfigFile()
    RewardConfigFile(mean=1.5).write(tmp_path)
    assert json.loads((tmp_path / scoring.CONFIG).read_text())["mean"] == 1.5
    assert scoring.read_config(tmp_path).mean == 1.5


def test_training_goes_on_from_a_supervised_adapter(tiny_llama, make_adapter):
    """Its weights are there, and are trained with the new head."""
    import peft

    folder = make_adapter(5)
    network = new_reward_model(ModelSection(path=str(tiny_llama), adapter=str(folder)), LoraSection(r=16), 0)
    held, given = peft.get_peft_model_state_dict(network), peft.load_peft_weights(str(folder), device="cpu")
    assert all(torch.equal(held[name], weight) for name, weight in given.items())
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert any("score" in name for name in trained) and sum("lora_" in name for name in trained) == len(given)


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_ends_with_the_end_token(tiny_llama_tokenizer, text):
    ids = encode(tiny_llama_tokenizer, "", text)
    assert ids[-1] == tiny_llama_tokenizer.eos_token_id


@pytest.fixture(scope="module")
def tiny_llama_tokenizer(tiny_llama):
    return AutoTokenizer.from_pretrained(tiny_llama)
