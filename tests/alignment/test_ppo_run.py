"""The life of a PPO run: what it writes, how it is interrupted and goes on bit for bit, and how it fails."""

# ruff: noqa: E402  # imports come after the skips

import json
import math
import resource
import shutil
import threading

import pytest

torch = pytest.importorskip("torch", reason="PPO needs torch")
pytest.importorskip("trl", reason="PPO stands on TRL's utilities")
from accelerate.optimizer import AcceleratedOptimizer
from safetensors.torch import load_file

from alignment.errors import DataError, ModelError
from alignment.ppo_models import Models, load_models
from alignment.ppo_trainer import PPOTrainer
from alignment.recipe import make_recipe
from alignment.reward_sources import checked
from alignment.training_arguments import training_arguments
from benchmarks import ppo_toy
from decoder.errors import CheckpointFailed, Diverged, Stopped
from decoder.runs.checkpoints import is_whole
from decoder.runs.folder import RunFolder

# transformers 5.19 warns about the name that peft 0.21 asks by.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
LORA = {"r": 2, "alpha": 4, "target_modules": ["q_proj", "v_proj", "down_proj"]}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def toy_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "model"
    ppo_toy.policy(5, torch.float32).save_pretrained(folder)
    ppo_toy.tokenizer().save_pretrained(folder)
    return folder


def count_a(completion_ids):
    return [float(sum(token == 2 for token in ids)) for ids in completion_ids]


def trainer(folder, model, lora=None, rewards=(count_a,), gold=None, adapter="", tracking=(), **training):
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "max_steps": 4,
        "learning_rate": 3e-3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "num_mini_batches": 2,
        "num_ppo_epochs": 2,
        "max_completion_length": 3,
        "whiten_rewards": True,
        "adaptive_kl": True,
        "adaptive_kl_target": 0.5,
        "adaptive_kl_horizon": 100,
        **training,
    }
    recipe = make_recipe(
        {
            "stage": "ppo",
            "name": "toy",
            "seed": 3,
            "model": {"path": str(model), "adapter": str(adapter)},
            "lora": lora,
            "training": values,
            "tracking": list(tracking),
        }
    )
    run = RunFolder(folder)
    config = training_arguments(recipe, run, "alignment.ppo_config:PPOConfig")
    torch.manual_seed(recipe.seed)
    rows = [{"prompt": "a b"}, {"prompt": "c c a b"}, {"prompt": "b"}]
    sources = [checked(reward, reward.__name__) for reward in rewards]
    return PPOTrainer(load_models(recipe, config), ppo_toy.tokenizer(), rows, sources, config, run, gold)


def weights(made):
    return {name: value.detach().clone() for name, value in made.model.state_dict().items()}


@pytest.mark.parametrize("critic", ["head", "separate"])
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_run_that_was_interrupted_ends_bit_equal_to_one_that_was_not(tmp_path, toy_model, lora, critic):
    whole = trainer(tmp_path / "whole", toy_model, lora, critic=critic)
    whole.train()
    asked, calls = threading.Event(), []

    def asks_after_two(completion_ids):
        calls.append(1)
        if len(calls) == 2:
            asked.set()
        return count_a(completion_ids)

    first = trainer(tmp_path / "parts", toy_model, lora, (asks_after_two,), critic=critic)
    with pytest.raises(Stopped, match="after step 2"):
        first.train(asked=asked)
    torch.manual_seed(12345)
    second = trainer(tmp_path / "parts", toy_model, lora, critic=critic)
    second.train(resume=True)
    assert weights(second).keys() == weights(whole).keys()
    for name, value in weights(whole).items():
        assert torch.equal(weights(second)[name], value), name
    assert second.folder.metrics() == whole.folder.metrics() and len(whole.folder.metrics()) == 4
    assert second.folder.samples() == whole.folder.samples()
    assert second.kl.coefficient == whole.kl.coefficient != 0.05


def test_lines_of_steps_that_are_done_again_are_cut(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model, max_steps=2, save_steps=1)
    made.train()
    made.folder.log(3, {"reward": 1.0})
    again = trainer(tmp_path, toy_model, max_steps=2, save_steps=1)
    again.train(resume=True)
    assert [line["step"] for line in again.folder.metrics()] == [1, 2]


def test_metrics_have_their_names_and_samples_their_figures(tmp_path, toy_model):
    def gold(prompts, completions, **_):
        return [0.25] * len(prompts)

    made = trainer(tmp_path, toy_model, LORA, gold=gold, max_steps=2, eval_strategy="steps", missing_eos_penalty=1.0)
    made.eval_rows = [{"prompt": "a"}, {"prompt": "b c"}]
    made.train()
    line = made.folder.metrics()[-1]
    names = """loss learning_rate epoch grad_norm reward reward_std kl entropy clip_fraction approx_kl value_loss
        policy_loss explained_variance response_length eos_share kl_coef gold_reward eval_reward eval_response_length"""
    assert set(names.split()) <= set(line)
    assert line["gold_reward"] == 0.25 and 0 <= line["eos_share"] <= 1 and 1 <= line["response_length"] <= 3
    sample = made.folder.samples()[0]
    assert {"step", "prompt", "response", "reward", "gold_reward"} <= set(sample)


def test_trackers_of_transformers_get_the_same_figures(tmp_path, toy_model):
    pytest.importorskip("tensorboard", reason="tracking by TensorBoard needs it")
    trainer(tmp_path, toy_model, LORA, tracking=("tensorboard",), max_steps=1).train()
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_the_first_step_of_an_adapter_has_no_kl_and_a_ratio_of_1(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model, LORA, num_ppo_epochs=1, num_mini_batches=1)
    figures = made.step()
    assert figures["kl"] == pytest.approx(0, abs=1e-5) and figures["approx_kl"] == pytest.approx(0, abs=1e-9)
    assert figures["clip_fraction"] == 0


def test_training_goes_on_from_an_adapter_which_stays_the_reference(tmp_path, toy_model):
    first = trainer(tmp_path / "first", toy_model, LORA, learning_rate=0.05, kl_coef=0.0, adaptive_kl=False)
    first.train()
    first.save_model()
    second = trainer(tmp_path / "second", toy_model, adapter=first.folder.model, learning_rate=0.05)
    before = load_file(first.folder.model / "adapter_model.safetensors")
    figures = second.step()
    assert figures["kl"] == pytest.approx(0, abs=1e-5), "the reference is the adapter, not the bare model"
    assert second.step()["kl"] != 0
    second.save_model()
    after = load_file(second.folder.model / "adapter_model.safetensors")
    assert after.keys() == before.keys() and not (second.folder.model / "reference").exists()
    assert any(not torch.equal(after[name], before[name]) for name in before)


def test_only_the_adapter_and_the_critic_are_trained(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model, LORA, max_steps=1, save_steps=1)
    before = weights(made)
    made.train()
    changed = {name for name, value in weights(made).items() if not torch.equal(value, before[name])}
    assert changed and all("lora_" in name or name.startswith("value_head") for name in changed)
    saved = load_file(made.folder.checkpoints()[-1] / "trained.safetensors")
    assert all("lora_" in name or name.startswith("value_head") for name in saved)


def test_a_disk_that_fills_leaves_the_last_good_checkpoint(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model, max_steps=3, save_steps=1)
    made.step()
    made.save_checkpoint()
    good = {file.name: file.read_bytes() for file in made.folder.checkpoints()[-1].iterdir()}
    made.step()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointFailed, match="checkpoint-1 is whole; free some space"):
            made.save_checkpoint()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.rglob("*checkpoint*")] == ["checkpoint-1"], "nor a half one"
    assert {file.name: file.read_bytes() for file in made.folder.checkpoints()[-1].iterdir()} == good
    trainer(tmp_path, toy_model, max_steps=3).train(resume=True)


def test_a_disk_that_fills_at_the_end_leaves_no_half_result_and_a_checkpoint_to_go_on_from(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model, max_steps=1)
    figures = made.train()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(CheckpointFailed, match="checkpoint-1 is whole"):
            made.save_model()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not made.folder.model.exists() and not list(tmp_path.glob(".*model*"))
    again = trainer(tmp_path, toy_model, max_steps=1)
    assert again.train(resume=True)["reward"] == figures["reward"], "no step is left, and its figures are known"
    again.save_model()
    assert (again.folder.model / "model.safetensors").exists()


def test_old_checkpoints_are_removed_after_the_new_one_is_whole(tmp_path, toy_model):
    trainer(tmp_path, toy_model, max_steps=4, save_steps=1, save_total_limit=2).train()
    assert [path.name for path in RunFolder(tmp_path).checkpoints()] == ["checkpoint-3", "checkpoint-4"]


def edit_state(checkpoint, **changed):
    """Change what a checkpoint says, and leave it whole."""
    state = json.loads((checkpoint / "state.json").read_text())
    (checkpoint / "state.json").write_text(json.dumps(state | changed))
    sizes = json.loads((checkpoint / "whole.json").read_text())
    sizes["state.json"] = (checkpoint / "state.json").stat().st_size
    (checkpoint / "whole.json").write_text(json.dumps(sizes))


@pytest.mark.parametrize("harm", ["other model", "damaged", "other data", "other processes"])
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, toy_model, harm):
    made = trainer(tmp_path, toy_model, max_steps=1, save_steps=1)
    made.train()
    checkpoint = made.folder.checkpoints()[-1]
    if harm == "damaged":
        weights = checkpoint / "trained.safetensors"
        weights.write_bytes(b"x" * weights.stat().st_size)
    if harm == "other processes":
        edit_state(checkpoint, processes=2)
    again = trainer(tmp_path, toy_model, LORA if harm == "other model" else None)
    if harm == "other data":
        again.rows = [{"prompt": "a c"}, *again.rows[1:]]
    with pytest.raises((ModelError, DataError)):
        again.train(resume=True)


def test_half_a_checkpoint_is_never_gone_on_from_nor_counted(tmp_path, toy_model):
    """As a copy that was cut off leaves it."""
    made = trainer(tmp_path, toy_model, max_steps=2, save_steps=1, save_total_limit=1)
    made.step()
    made.save_checkpoint()
    half = tmp_path / "checkpoint-9"
    shutil.copytree(tmp_path / "checkpoint-1", half)
    (half / "trained.safetensors").write_bytes(b"half")
    again = trainer(tmp_path, toy_model, max_steps=2, save_steps=1, save_total_limit=1)
    again.train(resume=True)
    assert again.done == 2 and is_whole(tmp_path / "checkpoint-2") and not (tmp_path / "checkpoint-1").exists()


def test_a_loss_that_is_no_number_ends_the_run_before_the_optimizer_step(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model)
    with torch.no_grad():
        made.model.value_head.bias.fill_(float("inf"))
    before = weights(made)
    with pytest.raises(Diverged, match=r"step 1, minibatch 0, rows \d.* of the data: loss (nan|inf)") as raised:
        made.train()
    assert raised.value.rows and set(raised.value.rows) <= {0, 1, 2}
    assert all(torch.equal(value, before[name]) for name, value in weights(made).items())


def test_half_precision_lowers_its_scale_and_goes_on_and_a_checkpoint_knows_it(tmp_path, toy_model):
    """accelerate makes a scaler on GPUs alone; torch has one for CPUs, which is put in its place."""

    def scaled(scale):
        made = trainer(tmp_path, toy_model, LORA, num_ppo_epochs=1, vf_coef=1e4)
        made.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        made.optimizer = AcceleratedOptimizer(made.optimizer.optimizer, scaler=made.accelerator.scaler)
        made.accelerator._optimizers = [made.optimizer]
        return made

    made = scaled(2.0**127)  # the first gradients are beyond float32
    made.step()
    assert made.accelerator.scaler.get_scale() < 2.0**127
    made.save_checkpoint()
    again = scaled(2.0)
    again._resume()
    assert again.accelerator.scaler.get_scale() == made.accelerator.scaler.get_scale()


def test_a_reward_that_is_no_number_names_the_function_and_the_row(tmp_path, toy_model):
    def broken(completion_ids):
        return [1.0] * (len(completion_ids) - 1) + [float("nan")]

    with pytest.raises(DataError, match=r"broken gave nan for row 7.*\(row \d of the data\)") as raised:
        trainer(tmp_path, toy_model, rewards=(broken,)).train()
    assert raised.value.row in (0, 1, 2) and raised.value.field == "broken"


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_policy_and_reference_are_compared_in_the_same_precision(tmp_path, toy_model, lora):
    made = trainer(tmp_path, toy_model, lora, bf16=True, max_steps=1)
    drawn = []
    made.policy.get_input_embeddings().register_forward_hook(
        lambda *_: drawn.append(torch.is_autocast_enabled("cpu")) if not made.policy.training else None
    )
    made.model.train()
    assert made.step()["kl"] == pytest.approx(0, abs=1e-6), "nothing has been trained yet"
    assert drawn and all(drawn), "generation too"


def test_a_prompt_of_no_token_is_refused_before_anything_is_written(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model)
    rows = [{"prompt": "a"}, {"prompt": " "}]
    with pytest.raises(DataError, match="row 1, prompt: ' ' has no token") as raised:
        PPOTrainer(Models(made.model), made.tokenizer, rows, made.rewards, made.config, made.folder)
    assert raised.value.row == 1


@pytest.mark.parametrize("values", [
    {"max_completion_length": 1},
    {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 1, "num_mini_batches": 1},
], ids=["one token", "one episode"])  # fmt: skip
def test_the_smallest_steps_give_numbers(tmp_path, toy_model, values):
    figures = trainer(tmp_path, toy_model, LORA, **values).step()
    assert all(math.isfinite(figure) for figure in figures.values()), figures


def test_a_token_that_both_pads_and_stops_stops_once(tmp_path, toy_model):
    made = trainer(tmp_path, toy_model, LORA)
    made.tokenizer.pad_token = made.tokenizer.eos_token
    rollout = made.roll_out(made.prompts * 8, 0)
    responses = rollout.responses()
    assert all(ppo_toy.STOP not in ids[:-1] for ids in responses)
    assert rollout.ended.tolist() == [ids[-1] == ppo_toy.STOP for ids in responses] and rollout.ended.any()


def test_checkpointed_activations_give_the_same_step(tmp_path, toy_model):
    plain = trainer(tmp_path / "plain", toy_model).step()
    saved = trainer(tmp_path / "saved", toy_model, activation_checkpointing=True).step()
    assert saved["loss"] == pytest.approx(plain["loss"], rel=1e-4)
