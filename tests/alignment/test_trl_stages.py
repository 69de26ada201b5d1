"""SFT, DPO, KTO, GRPO and RLOO are TRL's, used as they are: each trains for real on a tiny Llama, its result is loaded
by peft and by transformers, and its weights are bit for bit those of the plain trainer.
"""

import dataclasses
import importlib.util
import os
from pathlib import Path

import pytest

from alignment import sft
from alignment.callbacks import generate
from alignment.errors import DataError, MaskError, ModelError
from alignment.run_folder import folder_of
from alignment.stages import train
from alignment.token_mask import sequences
from alignment.trainer_job import prepare
from decoder.errors import RecipeError, TrainingError, UsageError

pytest.importorskip("trl", reason="the stages train with TRL")
pytestmark = [
    # peft asks transformers for a name that it has given up.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("trl_stages_support")
recipe, losses, weights, same, WORDS = support.recipe, support.losses, support.weights, support.same, support.WORDS


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def reward(tmp_path_factory):
    """A reward function's address: the more letters `e`, the better."""
    file = tmp_path_factory.mktemp("reward") / "liking.py"
    file.write_text(
        "def liking(prompts, completions, **columns):\n    return [float(c.count('e')) for c in completions]\n"
    )
    return f"{file}:liking"


@pytest.fixture(scope="module")
def taught(tmp_path_factory, tiny_llama):
    """An SFT run that overfits twelve conversations."""
    made = recipe("sft", tmp_path_factory.mktemp("sft"), tiny_llama, training={"max_steps": 24, "save_steps": 12})
    return train(made)


def test_sft_learns_and_its_adapter_is_loaded_by_peft_and_by_transformers(taught, tiny_llama):
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = losses(taught)
    assert sum(found[-3:]) < 0.5 * sum(found[:3])
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    adapted = peft.PeftModel.from_pretrained(base, taught.model)
    plain = AutoModelForCausalLM.from_pretrained(taught.model)
    tokenizer = AutoTokenizer.from_pretrained(taught.model)
    talk = support.ROWS["sft"][0]["messages"]
    ids = tokenizer.apply_chat_template(talk[:1], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    says = [
        model.generate(**ids, max_new_tokens=12, do_sample=False)[0, ids["input_ids"].shape[1] :]
        for model in (adapted, plain)
    ]
    assert same({"ids": says[0]}, {"ids": says[1]})
    assert tokenizer.decode(says[0], skip_special_tokens=True).strip().startswith("It is")


def test_the_run_says_what_became_of_it(taught, tiny_llama):
    from alignment.models import weights_hash

    state = taught.state
    assert (state["status"], state["kind"], state["base"], state["steps"]) == (
        "finished",
        "adapter",
        str(tiny_llama),
        24,
    )
    assert state["base_sha256"] == weights_hash(tiny_llama) and state["metrics"]["train_loss"] > 0
    assert state["data"]["train_rows"] == 12
    assert [line.get("step") for line in taught.metrics() if "loss" in line] == list(range(1, 25))
    assert not list(taught.path.rglob("*.bin"))[2:] and not list(taught.model.glob("*.bin"))


def test_samples_over_time_begin_before_training_and_end_after_it(taught):
    steps = [line["step"] for line in taught.samples()]
    assert steps == [0, 0, 0, 24, 24, 24]
    first, last = taught.samples()[0], taught.samples()[3]
    assert first["prompt"] == last["prompt"] and first["prompt"].endswith("<|assistant|>\n")
    assert last["response"].startswith("It is") and not first["response"].startswith("It is")


def test_a_prompt_as_long_as_the_model_is_sampled_from_its_end(tiny_llama):
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    small = {"n_positions": 64, "n_embd": 8, "n_layer": 1, "n_head": 1, "eos_token_id": None, "bos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **small))  # has a vector for each position, no more
    assert len(generate(model, tokenizer, ["word " * 200, "word"], 48)) == 2


def test_a_finished_run_is_left_as_it_is(taught):
    from alignment.recipe import load_recipe

    before = taught.state
    assert train(load_recipe(taught.path / "recipe.yaml"), resume=True).state == before


def test_what_broke_off_at_the_end_of_a_finished_run_is_made_up_for_when_it_is_resumed(tmp_path, tiny_llama):
    from alignment.registry import show

    made = recipe("sft", tmp_path, tiny_llama, training={"max_steps": 1})
    folder = train(made)
    (folder.path / "report.html").unlink()
    kept = weights(folder.model)
    again = train(dataclasses.replace(made, register=True), resume=True)  # as if the registry's disk had been full
    assert (folder.path / "report.html").exists() and same(weights(again.model), kept)
    assert show(again.state["artefact"]).stage == "sft"


def test_the_saved_template_is_the_one_without_markers(taught, tiny_llama):
    saved = (taught.model / "chat_template.jinja").read_text()
    assert saved == (tiny_llama / "chat_template.jinja").read_text() and "generation %}" not in saved


def test_sft_gives_the_weights_that_plain_trl_gives(tmp_path, tiny_llama):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    from alignment.models import load_tokenizer
    from alignment.token_mask import training_tokenizer

    made = recipe("sft", tmp_path, tiny_llama, lora={"r": 4, "dropout": 0.1}, seed=3)
    ours = train(made)
    settings = {**made.training, "output_dir": str(tmp_path / "plain"), "seed": 3, "assistant_only_loss": True}
    args = SFTConfig(
        **settings, use_cpu=True, bf16=False, gradient_checkpointing=None, report_to="none", dataloader_pin_memory=False
    )
    plain = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(tiny_llama, dtype="float32"),
        args=args,
        train_dataset=Dataset.from_list(support.ROWS["sft"]),
        processing_class=training_tokenizer(load_tokenizer(made.model)),
        peft_config=LoraConfig(
            r=4, lora_alpha=16, lora_dropout=0.1, target_modules=list(made.lora.target_modules), task_type="CAUSAL_LM"
        ),
    )
    plain.train()
    plain.save_model(str(tmp_path / "saved"))
    assert same(weights(ours.model), weights(tmp_path / "saved"))
    assert losses(ours) == [line["loss"] for line in plain.state.log_history if "loss" in line]


def test_all_weights_are_trained_without_a_lora_section_and_the_result_is_a_model(tmp_path, tiny_llama):
    folder = train(recipe("sft", tmp_path, tiny_llama, lora=None, training={"learning_rate": 1e-3, "max_steps": 6}))
    assert folder.state["kind"] == "model" and losses(folder)[-1] < losses(folder)[0]
    before, after = weights(tiny_llama), weights(folder.model)
    assert before.keys() == after.keys() and not same(before, after)


def test_packing_shares_sequences_cuts_no_row_and_lets_none_see_another(tmp_path, tiny_llama):
    alone = {"max_steps": 1, "max_length": 512, "per_device_train_batch_size": len(WORDS)}
    packed = {"max_steps": 1, "max_length": 512, "per_device_train_batch_size": 1, "packing": True}
    runs = [
        train(recipe("sft", tmp_path / str(number), tiny_llama, training=settings))
        for number, settings in enumerate((alone, packed))
    ]
    first, second = (next(line for line in run.metrics() if "loss" in line) for run in runs)
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-5)
    assert second["num_tokens"] >= first["num_tokens"]  # all rows are in the one sequence


def test_prompts_with_completions_train_the_completions(tmp_path, tiny_llama):
    rows = [{"prompt": f"Say {word}. ", "completion": f"It is {word}."} for word in WORDS]
    found = losses(train(recipe("sft", tmp_path, tiny_llama, rows)))
    assert found[-1] < found[0]


def test_rows_that_do_not_fit_are_left_out_and_listed_not_cut(tmp_path, tiny_llama):
    long = support.talk("on and on " * 40)
    folder = train(recipe("sft", tmp_path, tiny_llama, [support.ROWS["sft"][0], long, *support.ROWS["sft"][1:]]))
    data = folder.state["data"]
    assert (data["rows"], data["train_rows"], data["kept"], data["dropped"]) == (13, 12, 12, 1)
    assert data["dropped_rows"][0]["index"] == 1 and "96 are allowed" in data["dropped_rows"][0]["reason"]


def test_when_no_row_fits_it_says_so_and_leaves_no_folder(tmp_path, tiny_llama):
    made = recipe("dpo", tmp_path, tiny_llama, training={"max_length": 4})
    with pytest.raises(DataError, match="none of its 12 rows is at most 4 tokens long"):
        train(made)
    assert not folder_of(made).path.exists()


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"learning_rat": 1}, "Did you mean learning_rate"),
        ({"per_device_train_batch_size": 1}, "batch size must be > 1"),
    ],
)
def test_what_trl_would_refuse_is_refused_as_the_recipes_fault_and_leaves_no_folder(
    tmp_path, tiny_llama, training, said
):
    made = recipe("kto", tmp_path, tiny_llama, training=training)
    with pytest.raises(RecipeError, match=said):
        train(made)
    assert not folder_of(made).path.exists()


@pytest.mark.parametrize("stage", ["sft", "grpo", "reward"])
def test_an_adapter_where_a_whole_model_belongs_is_refused(tmp_path, taught, reward, stage):
    rows = support.ROWS["dpo" if stage == "reward" else stage]
    training = {"num_generations": 2, "max_completion_length": 8} if stage == "grpo" else {}
    more = {"reward": {"function": reward}, "training": training}
    made = recipe(stage, tmp_path, taught.model, rows, **more)  # transformers would put it on its base by itself
    with pytest.raises(ModelError, match=r"is an adapter, not a whole model.*model\.adapter"):
        train(made)
    assert not folder_of(made).path.exists()


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_dropout_that_trl_would_turn_off_is_refused_or_kept(tmp_path, tiny_llama, stage):
    lora = {"r": 2, "dropout": 0.4}
    made = recipe(stage, tmp_path / "off", tiny_llama, lora=lora)
    with pytest.raises(RecipeError, match=r"lora\.dropout is 0\.4.*disable_dropout=false"):
        train(made)
    assert not folder_of(made).path.exists()
    settings = {"max_steps": 2, "learning_rate": 1e-2}
    kept = recipe(stage, tmp_path / "on", tiny_llama, lora=lora, training={**settings, "disable_dropout": False})
    without = recipe(stage, tmp_path / "none", tiny_llama, lora={"r": 2}, training=settings)
    assert not same(weights(train(kept).model), weights(train(without).model))


def test_fewer_prompts_than_a_batch_takes_are_refused_as_trl_would_train_on_none(tmp_path, tiny_llama, reward):
    made = recipe(
        "grpo", tmp_path, tiny_llama, support.ROWS["grpo"][:1], reward={"function": reward}, training={"max_steps": 1}
    )
    with pytest.raises(DataError, match="there are 1 prompts, and a batch takes 2"):
        train(made)
    assert not folder_of(made).path.exists()


def test_one_vote_alone_is_refused_as_a_batch_of_one_is(tmp_path, tiny_llama):
    with pytest.raises(DataError, match="the KL term is estimated across the rows"):
        train(recipe("kto", tmp_path, tiny_llama, support.ROWS["kto"][:1]))


def test_a_run_without_a_step_is_no_success(tmp_path, tiny_llama):
    with pytest.raises(TrainingError, match="not one step was made"):
        train(recipe("sft", tmp_path, tiny_llama, training={"max_steps": -1, "num_train_epochs": 0}))


def test_when_no_evaluation_row_fits_it_says_so(tmp_path, tiny_llama):
    long = {"eval": support.write(tmp_path / "long.jsonl", [support.talk("x " * 200)])}
    data = {"train": support.write(tmp_path / "rows.jsonl", support.ROWS["sft"]), **long}
    with pytest.raises(DataError, match="none of its 1 evaluation rows is at most 96 tokens long"):
        train(recipe("sft", tmp_path, tiny_llama, data=data))


def test_a_row_that_the_template_cannot_render_is_named(tmp_path, tiny_llama, reward):
    rows = [{"prompt": [{"role": "user", "content": f"{n}"}], "chat_template_kwargs": {}} for n in range(3)]
    rows[1]["chat_template_kwargs"] = {"documents": "x", "messages": 1}
    with pytest.raises(MaskError, match="row 1: "):
        train(recipe("grpo", tmp_path, tiny_llama, rows, reward={"function": reward}))


def test_calls_of_tools_keep_their_own_arguments(tmp_path, tiny_llama):
    def called(name, **arguments):
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        turns = [{"role": "user", "content": name}, {"role": "assistant", "content": "", "tool_calls": [call]}]
        answer = [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "One."}]
        return {"messages": [*turns, *answer]}

    rows = [called("add", a=1, b=2), called("find", text="x"), called("add", a=3, b=4), called("now")]
    template = tmp_path / "calls.jinja"
    template.write_text(
        "{% for message in messages %}<|{{ message.role }}|>{% if message.role == 'assistant' %}{% generation %}"
        "{{ message.content }}{% for call in message.tool_calls or [] %}{{ call.function.arguments | tojson }}"
        "{% endfor %}<|end|>{% endgeneration %}{% else %}{{ message.content }}<|end|>{% endif %}{% endfor %}"
    )
    model = {"path": str(tiny_llama), "chat_template": str(template)}
    made = recipe("sft", tmp_path, tiny_llama, rows, model=model)
    job = prepare(made, folder_of(made), sft.STAGE)
    trained = sft.build(job).train_dataset
    assert [tuple(row["input_ids"]) for row in trained] == [
        sequences(job.tokenizer, row, "messages")[0].ids for row in job.train
    ]


def test_rows_of_another_stage_are_refused(tmp_path, tiny_llama):
    with pytest.raises(UsageError):
        train(recipe("dpo", tmp_path, tiny_llama, support.ROWS["sft"]))


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_preferences_and_votes_are_learned(tmp_path, tiny_llama, stage):
    held = {"train": support.write(tmp_path / "a.jsonl", support.ROWS[stage][:8])}
    held |= {"eval": support.write(tmp_path / "b.jsonl", support.ROWS[stage][8:])}
    folder = train(recipe(stage, tmp_path, tiny_llama, data=held, training={"max_steps": 8}))
    margins = [line["rewards/margins"] for line in folder.metrics() if "loss" in line]
    assert margins[0] == pytest.approx(0, abs=1e-5)  # the reference is the model without the adapter
    assert margins[-1] > 0.1 and losses(folder)[-1] < losses(folder)[0]
    assert folder.state["metrics"]["eval_loss"] < losses(folder)[0]
    assert {line["step"] for line in folder.samples()} >= {0, 2, 8}  # an evaluation an epoch


def test_dpo_goes_on_from_an_adapter_which_is_then_the_reference(tmp_path, tiny_llama, taught):
    model = {"path": str(tiny_llama), "adapter": str(taught.model)}
    folder = train(recipe("dpo", tmp_path, tiny_llama, model=model, training={"learning_rate": 1e-9}))
    first = next(line for line in folder.metrics() if "loss" in line)
    assert first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    ours, before = weights(folder.model), weights(taught.model)
    assert ours.keys() == before.keys() and all(abs(ours[name] - before[name]).max() < 1e-6 for name in ours)
    assert not (folder.model / "ref").exists()


def test_dpo_of_all_weights_has_a_frozen_copy_for_a_reference(tmp_path, tiny_llama):
    folder = train(recipe("dpo", tmp_path, tiny_llama, lora=None, training={"learning_rate": 1e-4}))
    lines = [line for line in folder.metrics() if "loss" in line]
    assert lines[0]["rewards/margins"] == pytest.approx(0, abs=1e-5) and lines[-1]["rewards/margins"] > 0


@pytest.mark.parametrize("stage", ["grpo", "rloo"])
def test_a_reward_function_is_learned(tmp_path, tiny_llama, reward, stage):
    settings = {
        "max_steps": 12,
        "per_device_train_batch_size": 24,
        "num_generations": 6,
        "learning_rate": 2e-2,
        "save_steps": 9,
    }
    folder = train(recipe(stage, tmp_path, tiny_llama, reward={"function": reward}, training=settings))
    found = [line["reward"] for line in folder.metrics() if "reward" in line]
    assert sum(found[-3:]) > 1.3 * sum(found[:3])
    assert folder.state["kind"] == "adapter" and (folder.model / "adapter_model.safetensors").is_file()


def test_rloo_of_all_weights_has_a_reference_of_the_same_model(tmp_path, tiny_llama, reward):
    made = recipe(
        "rloo", tmp_path, tiny_llama, lora=None, reward={"function": reward}, training={"learning_rate": 1e-9}
    )
    kl = [line["kl"] for line in train(made).metrics() if "kl" in line]
    assert kl and max(map(abs, kl)) < 1e-3


def test_a_prompt_that_leaves_no_room_is_left_out(tmp_path, tiny_llama, reward):
    rows = [*support.ROWS["grpo"], {"prompt": "on and on " * 900}]
    made = recipe("grpo", tmp_path, tiny_llama, rows, reward={"function": reward}, training={"max_steps": 1})
    data = train(made).state["data"]
    assert data["train_rows"] == 12 and "4088 are allowed" in data["dropped_rows"][0]["reason"]
    made = dataclasses.replace(
        made, output=str(tmp_path / "b"), training={**made.training, "max_completion_length": 5000}
    )
    with pytest.raises(UsageError, match="the model reads 4096 tokens in all"):
        train(made)


def real(*parts):
    file = DATA.joinpath(*parts)
    if not file.is_file():
        pytest.skip(f"{file} is not there: set HEARTH_TEST_DATA")
    return file


def test_worked_solutions_are_taught(tmp_path, tiny_llama):
    source = {"train": str(real("gsm8k", "train.jsonl.gz")), "max_rows": 24}
    source["columns"] = {"prompt": "question", "completion": "answer"}
    folder = train(recipe("sft", tmp_path, tiny_llama, data=source, training={"max_steps": 2, "max_length": 400}))
    assert len(losses(folder)) == 2 and folder.state["data"]["rows"] == 24


@pytest.mark.parametrize(("stage", "file"), [("dpo", "dpo_en_demo.json"), ("kto", "kto_en_demo.json")])
def test_real_preferences_and_votes_are_taught(tmp_path, tiny_llama, stage, file):
    source = {"train": str(real("sft", file)), "max_rows": 24, "skip_bad": True}
    folder = train(recipe(stage, tmp_path, tiny_llama, data=source, training={"max_steps": 2, "max_length": 1100}))
    assert len(losses(folder)) == 2 and folder.state["data"]["rows"] == 24
    assert folder.state["data"]["train_rows"] > 4  # not one row alone
