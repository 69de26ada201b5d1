"""A dry run tells what a run would be, in figures that a real run bears out, and writes nothing."""

import json

import pytest

from alignment.dry_run import dry_run, stage_arguments
from alignment.errors import DataError, ModelError, WrongBase
from alignment.memory import NF4_BYTES, estimate_memory
from alignment.model_shape import model_shape
from alignment.recipe import load_recipe, make_recipe
from alignment.step_count import count_steps
from decoder.errors import RecipeError, UsageError

pytest.importorskip("trl", reason="stages are configured by TRL's classes")
# peft asks transformers for the checkpointing flag by a name that it has given up.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

TURNS = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "Seven."}]


@pytest.fixture
def recipe(tiny_llama, tmp_path):
    """recipe(rows, stage="sft", **sections) -> a recipe whose data are these rows."""

    def make(rows, stage="sft", training=None, **more):
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        values = {
            "stage": stage,
            "name": "mine",
            "output": str(tmp_path / "run"),
            "model": {"path": str(tiny_llama)},
            "data": {"train": str(file), "deduplicate": False},
            "training": {"per_device_train_batch_size": 2, **(training or {})},
        }
        return make_recipe({**values, **more})

    return make


def said(number):
    return {"messages": [TURNS[0], {"role": "assistant", "content": "Seven. " * number}]}


def test_it_tells_rows_tokens_steps_memory_time_and_the_mask_and_writes_nothing(recipe, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    asked = recipe([said(n) for n in range(1, 9)], training={"num_train_epochs": 3})
    known = sorted(tmp_path.rglob("*"))
    found = dry_run(asked)
    assert sorted(tmp_path.rglob("*")) == known != before
    assert (found.data.train_rows, found.masks.rows, found.steps, found.refusal) == (8, 8, 12, None)
    assert 0 < found.masks.live < found.masks.tokens
    assert len(found.preview) == 3 and any(found.preview[0].live)
    assert found.timing.micro_step > 0
    assert found.timing.total == pytest.approx(found.timing.step * 12)
    text = str(found)
    for words in ("8 to train on, 0 to evaluate on", "steps: 12", "memory: about", "Korthikanti", "⟦Seven. <|end|>⟧"):
        assert words in text
    assert json.loads(json.dumps(found.plain()))["masks"]["rows"] == 8


def test_without_measuring_the_model_is_not_loaded(recipe, monkeypatch):
    monkeypatch.setattr("alignment.micro_step.load_decoder", None)
    assert dry_run(recipe([said(1)]), time_it=False).timing is None


def test_rows_that_are_too_long_are_left_out_and_listed(recipe):
    found = dry_run(recipe([said(1), said(200), said(2)], training={"max_length": 64}), time_it=False)
    assert [row.index for row in found.too_long] == [1]
    assert (found.masks.rows, found.steps) == (2, 3)
    assert "1 longer than 64 tokens" in str(found) and "training row 1: it has" in str(found)


def test_rows_that_are_all_too_long_are_a_refusal(recipe):
    found = dry_run(recipe([said(200)], training={"max_length": 64}), time_it=False)
    assert "none of the 1 rows is at most 64 tokens long" in str(found.refusal)
    assert found.steps is None


def test_bad_rows_are_listed_with_their_reason_when_they_may_be_skipped(recipe, tmp_path):
    rows = [said(1), {"messages": []}, said(2)]
    with pytest.raises(DataError):
        dry_run(recipe(rows), time_it=False)
    skipping = recipe(rows, data={"train": str(tmp_path / "rows.jsonl"), "skip_bad": True})
    found = dry_run(skipping, time_it=False)
    assert "1 cannot be used" in str(found) and "row 1" in found.left_out()[0]


def test_what_the_guard_refuses_is_told_beside_the_rest(recipe, tmp_path):
    rows = [{"prompt": [TURNS[0]], "completion": [TURNS[1]]}]
    template = "{% for message in messages %}<|{{ message.role }}|>\n{{ message.content }}{% endfor %}"
    asked = recipe(rows)
    file = tmp_path / "no-end.jinja"
    file.write_text(template)
    found = dry_run(recipe(rows, model={"path": asked.model.path, "chat_template": str(file)}), time_it=False)
    assert "row 0: the end-of-turn token would not be trained" in str(found.refusal)
    assert found.masks.rows == 1 and "refused: " in str(found)


def test_no_markers_and_none_to_be_added_is_told(recipe, tmp_path):
    file = tmp_path / "odd.jinja"
    file.write_text("{{ messages | tojson }}")
    asked = recipe([said(1)])
    found = dry_run(recipe([said(1)], model={"path": asked.model.path, "chat_template": str(file)}), time_it=False)
    assert "none can be added" in str(found.refusal) and found.masks is None


def test_a_recipe_that_wishes_all_trained_sees_all_live(recipe):
    found = dry_run(recipe([said(1)], training={"assistant_only_loss": False}), time_it=False)
    assert all(found.preview[0].live)


def test_pairs_show_both_sides(recipe):
    pair = {"prompt": [TURNS[0]], "chosen": [TURNS[1]], "rejected": [{"role": "assistant", "content": "Nine."}]}
    found = dry_run(recipe([pair] * 4, stage="dpo"))
    assert [row.name for row in found.preview[:2]] == ["chosen", "rejected"]
    assert (found.memory.batch, found.masks.sequences, found.steps) == (4, 8, 6)
    assert found.memory.reference == found.memory.weights
    assert "the reference's forward" in found.timing.includes


def test_a_stage_that_writes_its_own_completions_says_what_is_not_measured(recipe):
    training = {"max_completion_length": 8, "num_generations": 2}
    found = dry_run(recipe([{"prompt": [TURNS[0]]}] * 4, stage="grpo", training=training, reward={"model": "judge"}))
    assert "nothing yet" in str(found) and not any(found.preview[0].live)
    assert "writing completions" in found.timing.includes
    assert "not counted: the reward model's own weights" in str(found)
    assert found.timing.tokens == 2 * (found.masks.longest + 8)


def test_a_stage_without_tokens_says_what_it_will_do(recipe):
    asked = recipe([{"prompt": "How many?"}] * 3, stage="constitution", constitution={"rounds": 2}, training={})
    found = dry_run(asked)
    assert found.masks is None
    assert "15 texts of at most 256 tokens" in str(found)
    assert "6 judgements" in str(found)
    both = {"rounds": 2, "pair_with": "both"}  # a second sample for each, and twice the pairs
    said = str(dry_run(recipe([{"prompt": "How many?"}] * 3, stage="constitution", constitution=both, training={})))
    assert "18 texts" in said and "12 judgements" in said


def test_a_run_that_is_already_there_is_told(recipe, tmp_path):
    (tmp_path / "run").mkdir()
    assert "there is a run already" in str(dry_run(recipe([said(1)]), time_it=False))


def test_what_cannot_be_used_is_an_error(recipe, tmp_path, make_adapter):
    with pytest.raises(RecipeError, match="learning_rate"):
        dry_run(recipe([said(1)], training={"learningrate": 1}), time_it=False)
    for lora in ({"r": 0}, {"target_modules": ["none"]}):
        with pytest.raises(ModelError, match="Mend the section lora"):
            dry_run(recipe([said(1)], lora=lora))
    with pytest.raises(ModelError, match="no model"):
        dry_run(recipe([said(1)], model={"path": "./nowhere"}), time_it=False)
    adapter = make_adapter(1)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "other/base"}))
    known = recipe([said(1)]).model.path
    with pytest.raises(WrongBase, match="other/base"):
        dry_run(recipe([said(1)], model={"path": known, "adapter": str(adapter)}), time_it=False)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"training": {"per_device_train_batch_size": 8, "num_generations": 2}}, "a batch takes 4"),
        ({"reward": {}}, "no reward"),
    ],
)
def test_what_a_stage_that_writes_completions_would_refuse_is_told(recipe, more, said):
    sections = {"training": {"num_generations": 2}, "reward": {"function": "m:f"}} | more
    with pytest.raises(UsageError, match=said):
        dry_run(recipe([{"prompt": "How many?"}], stage="grpo", **sections), time_it=False)


def test_nothing_is_measured_that_would_not_fit(recipe, monkeypatch):
    monkeypatch.setattr("alignment.micro_step.free_memory", lambda device: 1000)
    found = dry_run(recipe([said(1)]))
    assert "are free" in found.timing.skipped and "not measured" in str(found)


# The figures, held against real ones


def real_model(recipe):
    from alignment.models import load_decoder

    return load_decoder(recipe.model, recipe.lora)


@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": ["q_proj", "down_proj"]}])
def test_parameters_gradients_and_optimizer_states_are_those_of_a_real_step(recipe, lora):
    import torch

    asked = recipe([said(1)], **({"lora": lora} if lora else {}))
    model = real_model(asked)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    states = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    memory = estimate_memory(asked, stage_arguments(asked, "messages"), model_shape(asked), 1, 3)
    assert memory.trainable == sum(parameter.numel() for parameter in trained)
    assert memory.gradients == sum(parameter.grad.nbytes for parameter in trained)
    assert memory.optimizer == sum(state.nbytes for state in states)
    assert memory.weights == sum(parameter.nbytes for parameter in model.parameters())


def test_activations_are_within_a_quarter_of_what_autograd_keeps(recipe):
    import torch

    asked = recipe([said(1)])
    model = real_model(asked)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    ids = torch.randint(0, model.config.vocab_size, (2, 200))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.model(input_ids=ids).last_hidden_state
    assert hidden.requires_grad
    real = sum(size for size, _ in kept.values())
    memory = estimate_memory(asked, stage_arguments(asked, "messages"), model_shape(asked), 2, 200)
    assert 0.75 < memory.activations / real < 1.25


def test_an_8b_model_in_four_bits_from_its_configuration_alone(tmp_path):
    from transformers import Qwen3Config

    folder = tmp_path / "qwen"
    Qwen3Config(
        vocab_size=151936, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=False,
    ).save_pretrained(folder)  # fmt: skip
    asked = load_recipe("sft-8b", [f"model.path={folder}", "training.optim=adamw_8bit"])
    shape = model_shape(asked)
    assert shape.parameters == 8_190_735_360  # as published for Qwen3-8B
    assert shape.trainable == 16 * 36 * sum(a + b for a, b in LORA_8B)
    memory = estimate_memory(asked, stage_arguments(asked, "messages"), shape, 2, 2048)
    assert memory.weights == round(
        shape.linear * NF4_BYTES + (shape.parameters - shape.linear) * 2 + 2 * shape.trainable
    )
    assert 5.9e9 < memory.weights < 6.2e9
    assert memory.optimizer == 2 * shape.trainable


LORA_8B = [(4096, 4096), (4096, 1024), (4096, 1024), (4096, 4096), (4096, 12288), (4096, 12288), (12288, 4096)]


def test_checkpointing_keeps_each_layers_input_and_one_layer(recipe):
    asked = recipe([said(1)])
    args, shape = stage_arguments(asked, "messages"), model_shape(asked)
    whole = estimate_memory(asked, args, shape, 1, 100).activations
    args.activation_checkpointing = True
    part = estimate_memory(asked, args, shape, 1, 100).activations
    assert part == 4 * 100 * shape.hidden * shape.layers + whole // shape.layers


@pytest.mark.parametrize("rows", [1, 7, 16])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_steps_are_those_that_the_trainer_counts(recipe, rows, accumulate):
    from datasets import Dataset
    from trl import SFTTrainer

    from alignment.models import load_tokenizer
    from alignment.token_mask import training_tokenizer

    asked = recipe(
        [said(n + 1) for n in range(rows)],
        training={"gradient_accumulation_steps": accumulate, "num_train_epochs": 2.5},
    )
    args = stage_arguments(asked, "messages")
    trainer = SFTTrainer(
        real_model(asked),
        args,
        train_dataset=Dataset.from_list([said(n + 1) for n in range(rows)]),
        processing_class=training_tokenizer(load_tokenizer(asked.model)),
    )
    counted = trainer.set_initial_training_values(args, trainer.get_train_dataloader())
    assert count_steps("sft", args, rows, 0) == counted[-1]


@pytest.mark.parametrize("training", [{}, {"steps_per_generation": 4}, {"num_iterations": 2}])
def test_steps_of_grpo_are_those_of_its_sampler(recipe, training):
    from trl.trainer.utils import RepeatSampler

    training = {"num_generations": 2, "per_device_train_batch_size": 4, "max_completion_length": 8, **training}
    args = stage_arguments(recipe([{"prompt": [TURNS[0]]}], stage="grpo", training=training), "prompt")
    sampler = RepeatSampler(
        list(range(21)),
        mini_repeat_count=args.num_generations,
        batch_size=args.generation_batch_size // args.num_generations,
        repeat_count=args.num_iterations * args.steps_per_generation,
    )
    batches = len(sampler) // (args.per_device_train_batch_size * args.steps_per_generation)
    assert count_steps("grpo", args, 21, 0) == -(-batches // args.gradient_accumulation_steps) * 3


def test_packed_rows_are_counted_by_their_tokens(recipe):
    args = stage_arguments(recipe([said(1)], training={"packing": True, "max_length": 100}), "messages")
    assert count_steps("sft", args, 1000, 1000) == 3 * 5  # ten sequences, two at once, three epochs
    args.max_steps = 7
    assert count_steps("sft", args, 1000, 1000) == 7


@pytest.mark.parametrize(("rows", "steps"), [(400, 100), (10, 3), (1, 1)])
def test_steps_of_ppo_are_rollouts(rows, steps):
    class Arguments:  # as PPOConfig counts its episodes
        max_steps, num_train_epochs, episodes, world_size = -1, 2, 8, 1

    assert count_steps("ppo", Arguments, rows, 0) == steps


def test_of_a_mixture_the_experts_that_a_token_is_sent_to_count(tmp_path):
    from transformers import Qwen3MoeConfig

    Qwen3MoeConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        moe_intermediate_size=6, num_experts=4, num_experts_per_tok=2,
    ).save_pretrained(tmp_path)  # fmt: skip
    assert model_shape(load_recipe("sft-8b", [f"model.path={tmp_path}", "lora=null"])).intermediate == 12


def test_a_model_that_is_no_decoder_is_told_and_the_rest_is_shown(recipe, tmp_path):
    from transformers import AutoTokenizer, MambaConfig

    asked = recipe([said(1)])
    folder = tmp_path / "mamba"
    MambaConfig(vocab_size=512, hidden_size=8, num_hidden_layers=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(asked.model.path).save_pretrained(folder)
    found = dry_run(recipe([said(1)], model={"path": str(folder)}), time_it=False)
    assert found.memory is None and "memory: unknown" in str(found) and found.steps


def test_of_a_new_model_the_tokenizer_is_made_first_and_its_texts_are_packed(recipe):
    rows = [{"text": f"There were {n} geese, and then there were more of them by the pond."} for n in range(200)]
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 300}
    asked = recipe(rows, stage="pretrain", training={"max_length": 32}, model={}, architecture=sizes)
    found = dry_run(asked)
    sequences = -(-found.masks.tokens // 32)
    assert found.packed and found.steps == -(-sequences // 2) * 3
    assert found.memory.length == 32 and found.timing.tokens == 2 * 32
    assert "about: rows share sequences" in str(found)
