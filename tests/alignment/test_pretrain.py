"""A decoder from nothing: its tokenizer, its shape, its training bit for bit, and a folder that others can load."""

import json
import random
from types import SimpleNamespace

import pytest

from alignment.architecture import make_decoder
from alignment.models import load_decoder
from alignment.pretrain import _model as new_model
from alignment.pretrain import run, sizes
from alignment.recipe import load_recipe, make_recipe
from alignment.sections import ArchitectureSection
from alignment.tokenizer_training import BEGIN, END, SMALLEST, SPECIAL, train_tokenizer
from alignment.training_arguments import training_arguments
from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder

# peft asks transformers for a property by the name that transformers has given up.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

WORDS = ["the", "fire", "in", "a", "house", "keeps", "bread", "and", "people", "warm", "while", "rain", "falls", "on"]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Is it warm?"},
    {"role": "assistant", "content": "Yes — très."},
]
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "vocab_size": 300,
}


@pytest.fixture(scope="module")
def texts():
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=30)) + f" {number}." for number in range(40)]


@pytest.fixture(scope="module")
def file(texts, tmp_path_factory):
    made = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    made.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return made


@pytest.fixture(scope="module")
def tokenizer(texts):
    return train_tokenizer(texts, 320, 64)


def recipe_of(file, output, **more):
    training = {"max_length": 32, "per_device_train_batch_size": 4, "max_steps": 6, "logging_steps": 1, "save_steps": 3}
    plain = {
        "stage": "pretrain",
        "name": "tiny",
        "output": str(output),
        "register": False,
        "architecture": TINY,
        "data": {"train": str(file), "eval_fraction": 0.1},
        "training": training | more.pop("training", {}),
    }
    return make_recipe(plain | more)


@pytest.fixture(scope="module")
def trained(file, tmp_path_factory):
    return run(recipe_of(file, tmp_path_factory.mktemp("run") / "run"))


def weights(folder):
    return (folder.model / "model.safetensors").read_bytes()


def test_any_text_survives_the_tokenizer_and_its_special_tokens_come_first(tokenizer):
    for text in ("warm bread", "  two  spaces \n\t", "naïve — 火 🔥", "\x00\x7f"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == list(range(len(SPECIAL)))
    assert (tokenizer.bos_token, tokenizer.eos_token) == (BEGIN, END) and tokenizer.pad_token != END


def test_the_same_texts_give_the_same_tokenizer(tokenizer, texts):
    assert train_tokenizer(texts, 320, 64).backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert len(tokenizer) == 320 and len(train_tokenizer(["ab"], 4096, 64)) < 300


def test_digits_and_names_have_tokens_of_their_own_where_the_recipe_asks_for_it():
    told = [f'{place} "Laketown", 348 times. The Laketown of Laketown: Laketown' for place in "ABCDE"] * 20
    plain = train_tokenizer(told, 400, 64)
    apart = train_tokenizer(told, 400, 64, individual_digits=True, isolated_capitals=True)
    assert len(plain.tokenize("348")) < 3 and apart.tokenize("348") == ["3", "4", "8"]
    assert apart.tokenize("Laketown") == ["Laketown"]
    for text in (" Laketown", '"Laketown"', "of Laketown:"):
        assert "Laketown" in apart.tokenize(text), text
        assert apart.decode(apart(text).input_ids) == text
    assert "Laketown" not in plain.tokenize(" Laketown")


def test_of_a_conversation_the_answer_and_its_end_lie_between_the_markers(tokenizer):
    done = tokenizer.apply_chat_template(TALK, return_dict=True, return_assistant_tokens_mask=True)
    ids, mask = done["input_ids"], done["assistant_masks"]
    assert tokenizer.decode([i for i, live in zip(ids, mask, strict=True) if live]) == "Yes — très.<|end|>"
    assert tokenizer.decode(ids).startswith("<|begin|><|system|>\nBe brief.<|end|>\n<|user|>\n")
    asked = tokenizer.apply_chat_template(TALK[:2], add_generation_prompt=True)["input_ids"]
    assert ids[: len(asked)] == asked
    assert ids.count(tokenizer.bos_token_id) == 1


def test_tools_and_calls_are_part_of_a_conversation(tokenizer):
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": "roof"}}}
    talk = [*TALK[:2], {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "dry"}]
    text = tokenizer.apply_chat_template(talk, tools=[{"type": "function"}], tokenize=False)
    assert 'Tools: [{"type": "function"}]<|end|>' in text and "<|tool|>\ndry<|end|>" in text
    assert '<tool_call>{"name": "look", "arguments": {"at": "roof"}}</tool_call><|end|>' in text


def test_a_run_leaves_a_model_that_loads_learns_and_writes_text(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(trained.model)
    tokenizer = AutoTokenizer.from_pretrained(trained.model)
    losses = [line["loss"] for line in trained.metrics() if "loss" in line]
    assert len(losses) == 6 and losses[-1] < losses[0] - 0.05
    assert "eval_loss" in trained.state["metrics"] and trained.state["status"] == "finished"
    assert trained.state["kind"] == "model" and trained.state["parameters"] == sizes(model)["parameters"]
    assert len(tokenizer) == model.config.vocab_size and "{%- generation %}" in tokenizer.chat_template
    ids = tokenizer(BEGIN + "the", return_tensors="pt")
    assert model.generate(**ids, max_new_tokens=3, do_sample=False).shape[1] > ids["input_ids"].shape[1]
    assert (trained.path / "report.html").is_file()


def test_every_token_of_the_text_is_trained_after_its_begin(trained, file):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trained.model)
    held = trained.state["data"]["train_rows"]
    rows = [json.loads(line)["text"] for line in file.read_text().splitlines()]
    longest = sum(sorted((len(tokenizer(BEGIN + row + END)["input_ids"]) for row in rows), reverse=True)[:held])
    shortest = sum(sorted(len(tokenizer(BEGIN + row + END)["input_ids"]) for row in rows)[:held])
    assert -(-shortest // 32) <= trained.state["rows_packed"] <= -(-longest // 32)


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(trained, file, tmp_path):
    assert weights(run(recipe_of(file, tmp_path / "again"))) == weights(trained)
    assert weights(run(recipe_of(file, tmp_path / "other", seed=1))) != weights(trained)


def test_a_run_that_goes_on_from_a_checkpoint_ends_with_the_same_weights(trained, file, tmp_path):
    import shutil

    recipe = recipe_of(file, tmp_path / "run")
    shutil.copytree(trained.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    shutil.rmtree(folder.model)
    shutil.rmtree(folder.path / "checkpoint-6")
    from alignment.recipe import fingerprint

    folder.note(status="stopped", recipe_sha256=fingerprint(recipe))
    assert weights(run(recipe, resume=True)) == weights(trained)
    assert [line["step"] for line in folder.metrics() if "loss" in line] == [1, 2, 3, 4, 5, 6]


def test_a_model_goes_on_with_its_own_tokenizer_as_an_adapter_where_lora_is_asked_for(trained, file, tmp_path):
    more = {"model": {"path": str(trained.model)}, "training": {"max_steps": 1, "learning_rate": 1e-3}}
    whole = run(recipe_of(file, tmp_path / "whole", **more))
    adapter = run(recipe_of(file, tmp_path / "adapter", lora={"r": 2}, **more))
    assert whole.state["kind"] == "model" and weights(whole) != weights(trained)
    assert (whole.model / "tokenizer.json").read_bytes() == (trained.model / "tokenizer.json").read_bytes()
    assert adapter.state["kind"] == "adapter" and (adapter.model / "adapter_model.safetensors").is_file()
    assert adapter.state["base"] == str(trained.model)


@pytest.mark.parametrize("way", ["eager", "sdpa"])
def test_attention_is_computed_as_the_recipe_says(trained, file, tmp_path, tokenizer, way):
    chosen = {"attn_implementation": way}
    new = recipe_of(file, tmp_path, model=chosen)
    further = recipe_of(file, tmp_path, model={"path": str(trained.model), **chosen})
    made = new_model(SimpleNamespace(recipe=new, tokenizer=tokenizer))["model"]
    assert {model.config._attn_implementation for model in (made, load_decoder(further.model))} == {way}


def test_texts_that_are_not_packed_are_left_out_and_listed_when_they_are_too_long(tmp_path):
    words = ["hearth " * count for count in (5, 60, 6, 7)]
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text.strip()}) + "\n" for text in words))
    training = {"packing": False, "max_steps": 1}
    data = run(recipe_of(texts, tmp_path / "run", data={"train": str(texts)}, training=training)).state["data"]
    assert (data["train_rows"], [row["index"] for row in data["dropped_rows"]]) == (3, [1])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"architecture": TINY | {"hidden_size": 48}}, "head size 48/1 = 48 is not one that vLLM serves"),
        ({"architecture": TINY | {"hidden_size": 100, "num_attention_heads": 3}}, "head size 100/3"),
        ({"architecture": TINY | {"hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 2}}, "share 2"),
        ({"architecture": TINY | {"num_hidden_layers": 0}}, "below 1"),
        ({"architecture": TINY | {"vocab_size": SMALLEST - 1}}, f"at least {SMALLEST}"),
        ({"training": {"max_length": 65}}, "more than the 64 positions"),
        ({"training": {"max_length": 1}}, "max_length is 1"),
        ({"lora": {"r": 2}}, "made from nothing"),
    ],
)
def test_what_cannot_be_made_or_served_is_refused_before_a_folder_is_made(file, tmp_path, more, said):
    with pytest.raises(RecipeError, match=said):
        run(recipe_of(file, tmp_path / "run", **more))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_counted_with_the_embedding_once_and_without_it(tokenizer, tied):
    made = sizes(make_decoder(ArchitectureSection(64, 100, 3, 2, 1, 64, tied, 320), tokenizer, 0))
    attention, feed_forward, norms = 2 * 64 * 64 + 2 * 64 * 32, 3 * 64 * 100, 2 * 64
    inner = 3 * (attention + feed_forward + norms) + 64
    assert made["parameters_non_embedding"] == inner
    assert made["parameters"] == inner + (1 if tied else 2) * len(tokenizer) * 64


@pytest.mark.parametrize("name", ["pretrain-small", "pretrain-8b", "pretrain-tiny-copying"])
def test_the_recipes_that_ship_are_read_to_the_last_key(name, tmp_path):
    from alignment.pretrain import check

    recipe = load_recipe(name, ["training.bf16=false"])
    check(recipe)
    training_arguments(recipe, RunFolder(tmp_path), "trl:SFTConfig")
