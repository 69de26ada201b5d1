"""hearth-tiny by its name, and the packaged model as transformers and the embedded decoder load it."""

from pathlib import Path

import pytest

from decoder import EmbeddedDecoder, Sampling, tiny
from decoder.constraint import choice
from decoder.errors import UsageError

FILES = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def test_its_name_means_the_packaged_folder_unless_a_folder_here_is_called_so(tiny_stand_in, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tiny.resolve("hearth-tiny") == tiny.resolve(Path("hearth-tiny")) == tiny_stand_in
    assert tiny.resolve("some/hearth-tiny") == "some/hearth-tiny"
    (tmp_path / "hearth-tiny").mkdir()
    assert tiny.resolve("hearth-tiny") == "hearth-tiny"


def test_without_its_weights_it_is_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "path", lambda: tmp_path)
    assert not tiny.is_usable()
    with pytest.raises(UsageError, match="the weights of hearth-tiny are not in"):
        tiny.resolve("hearth-tiny")


def test_the_package_holds_a_model_and_nothing_else(hearth_tiny):
    found = {file.name: file.stat().st_size for file in hearth_tiny.iterdir()}
    assert found.keys() - {"chat_template.jinja"} == FILES
    assert sum(found.values()) < 40_000_000


@pytest.fixture(scope="module")
def decoder(hearth_tiny):
    with EmbeddedDecoder("hearth-tiny", device="cpu") as made:
        yield made


def test_it_says_what_transformers_has_it_say(decoder, hearth_tiny):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(hearth_tiny)
    model = AutoModelForCausalLM.from_pretrained(hearth_tiny, dtype="auto")
    assert model.dtype == torch.bfloat16
    asked = [{"role": "user", "content": "What is 12 + 30?"}]
    given = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    (tokens,) = model.generate(**given, max_new_tokens=24, do_sample=False, temperature=None)
    said = tokenizer.decode(tokens[given["input_ids"].shape[1] :], skip_special_tokens=True)
    answer = decoder.complete("What is 12 + 30?", sampling=Sampling(temperature=0.0, max_tokens=24))
    assert answer.text == said
    assert answer.model == "hearth-tiny"


def test_it_is_held_to_a_constraint(decoder):
    answer = decoder.complete("Which?", sampling=Sampling(max_tokens=20), constraint=choice(["left", "right"]))
    assert answer.text in ("left", "right")
