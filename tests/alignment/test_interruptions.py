"""What a run does when it is broken off: a signal, a loss that is no number, a disk that fills. Each really happens:
the signal is raised, the weights hold a NaN, the file system is full or refuses larger files.
"""

import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from alignment import sft
from alignment.errors import DataError
from alignment.run_folder import folder_of
from alignment.stages import train
from decoder.errors import CheckpointFailed, Diverged, Stopped, TrainingError
from decoder.runs.checkpoints import is_whole, last_whole, step_of
from decoder.runs.folder import RunFolder

pytest.importorskip("trl", reason="the stages train with TRL")
pytestmark = [
    # peft asks transformers for a name that it has given up.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("trl_stages_support")
recipe, losses, weights, same = support.recipe, support.losses, support.weights, support.same


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def at_step(monkeypatch):
    """at_step(k, do): calls `do` when the metrics of step k are logged, which is when that step has ended."""
    plain = RunFolder.log

    def arrange(step, do):
        def log(folder, at, metrics):
            plain(folder, at, metrics)
            if at == step and "loss" in metrics:
                do()

        monkeypatch.setattr(RunFolder, "log", log)

    yield arrange
    monkeypatch.setattr(RunFolder, "log", plain)


@pytest.mark.parametrize(
    ("stage", "number"), [("sft", signal.SIGTERM), ("sft", signal.SIGINT), ("dpo", signal.SIGTERM)]
)
def test_a_run_that_a_signal_ended_and_that_was_gone_on_with_equals_one_that_was_not(
    tmp_path, tiny_llama, at_step, stage, number
):
    lora = {"r": 4, "dropout": 0.1}  # so that the random state counts
    settings = {"max_steps": 6, "save_steps": 100, **({"disable_dropout": False} if stage == "dpo" else {})}
    whole = train(recipe(stage, tmp_path / "whole", tiny_llama, lora=lora, training=settings))
    made = recipe(stage, tmp_path / "broken", tiny_llama, lora=lora, training=settings)
    at_step(2, lambda: signal.raise_signal(number))
    with pytest.raises(Stopped, match=r"after step 3.*--resume"):
        train(made)
    broken = folder_of(made)
    assert broken.state["status"] == "stopped" and [step_of(p) for p in broken.checkpoints()] == [3]
    assert not broken.model.exists()
    at_step(-1, lambda: None)
    assert train(made, resume=True).state["status"] == "finished"
    assert same(weights(broken.model), weights(whole.model)) and losses(broken) == losses(whole)


def test_the_signals_own_way_comes_back_afterwards(tmp_path, tiny_llama):
    before = signal.getsignal(signal.SIGTERM)
    train(recipe("sft", tmp_path, tiny_llama, training={"max_steps": 1}))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory, tiny_llama):
    """The tiny Llama with a NaN where `~` is read: rows that hold one have no loss."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("poisoned") / "llama"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(tiny_llama)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("~")] = float("nan")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def spoiled(stage, at=7):
    """The stage's rows, one of which holds a `~`."""
    rows = [dict(row) for row in support.ROWS[stage]]
    if stage == "sft":
        rows[at] = support.talk("what ~ means")
    else:
        rows[at]["prompt"] = "Say ~. "
    return rows


@pytest.mark.parametrize(("stage", "more"), [("sft", {}), ("sft", {"packing": True}), ("dpo", {}), ("kto", {})])
def test_a_loss_that_is_no_number_ends_the_run_and_names_step_and_rows(tmp_path, poisoned, stage, more):
    settings = {"max_steps": 12, "per_device_train_batch_size": 2, "save_steps": 1, "logging_steps": 1, **more}
    made = recipe(stage, tmp_path, poisoned, spoiled(stage), training=settings)
    with pytest.raises(Diverged, match="the loss is nan at step") as raised:
        train(made)
    folder = folder_of(made)
    assert 7 in raised.value.rows and (more or len(raised.value.rows) <= 2)
    assert "7" in str(raised.value).partition("rows ")[2]
    assert folder.state["status"] == "failed" and "the loss is nan" in folder.state["error"]
    assert "the run failed: " in (folder.path / "report.md").read_text()
    for checkpoint in folder.checkpoints():
        assert all(tensor.isfinite().all() for tensor in weights(checkpoint).values())


def test_a_completion_step_without_a_number_names_the_prompts_rows(tmp_path, poisoned):
    file = tmp_path / "liking.py"
    file.write_text("def liking(prompts, completions, **columns):\n    return [float(len(c)) for c in completions]\n")
    rows = [{"prompt": "Say ~. "}, {"prompt": "~ again. "}]
    made = recipe("rloo", tmp_path, poisoned, rows, reward={"function": f"{file}:liking"})
    with pytest.raises(Diverged, match="no distribution to draw from at step 1") as raised:
        train(made)
    assert raised.value.rows == (0, 1) and folder_of(made).state["status"] == "failed"


def test_a_gradient_that_is_no_number_never_reaches_the_weights(tmp_path, tiny_llama, monkeypatch):
    build = sft.build

    def built(job):
        import torch

        trainer, steps = build(job), []
        spoil = next(p for p in trainer.model.parameters() if p.requires_grad)

        def hook(gradient):
            steps.append(1)
            return torch.full_like(gradient, float("inf")) if len(steps) == 3 else gradient

        spoil.register_hook(hook)
        return trainer

    monkeypatch.setattr(
        "alignment.sft.STAGE", sft.STAGE.__class__(sft.STAGE.config, built, sft.STAGE.house, sft.STAGE.limit)
    )
    made = recipe("sft", tmp_path, tiny_llama, training={"save_steps": 1})
    with pytest.raises(Diverged, match=r"the gradient's norm is .* at step 3") as raised:
        train(made)
    assert len(raised.value.rows) == 4
    assert [step_of(p) for p in folder_of(made).checkpoints()] == [1, 2]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    if (
        not mounted
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place], capture_output=True).returncode
    ):
        pytest.skip("no small file system can be mounted here; the next test limits the size of files instead")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills_leaves_the_last_good_checkpoint_which_is_gone_on_from(
    tmp_path, tiny_llama, at_step, small_disk
):
    whole = train(recipe("sft", tmp_path / "whole", tiny_llama))
    made = recipe("sft", small_disk, tiny_llama)
    filler = small_disk / "filler"

    def fill():
        free = os.statvfs(small_disk)
        filler.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - 60_000))

    at_step(3, fill)
    with pytest.raises(CheckpointFailed, match=r"checkpoint of step 4: .*checkpoint-2 is whole.*--resume"):
        train(made)
    folder = folder_of(made)
    assert [step_of(p) for p in folder.checkpoints()] == [2] and is_whole(folder.checkpoints()[0])
    assert not (folder.path / ".partial").exists() and folder.state["status"] == "failed"
    filler.unlink()
    at_step(-1, lambda: None)
    assert same(weights(train(made, resume=True).model), weights(whole.model))


def test_files_that_may_not_grow_leave_the_last_good_checkpoint(tmp_path, tiny_llama, at_step):
    made = recipe("sft", tmp_path, tiny_llama)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    at_step(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1])))
    try:
        with pytest.raises(CheckpointFailed, match="checkpoint-2 is whole"):
            train(made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [step_of(p) for p in folder_of(made).checkpoints()] == [2]


def test_a_checkpoint_that_lost_part_of_a_file_is_never_gone_on_from(tmp_path, tiny_llama):
    made = recipe("sft", tmp_path, tiny_llama)
    folder = train(made)
    first, second = folder.checkpoints()
    assert last_whole(folder.checkpoints()) == second
    optimizer = second / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-1])
    (folder.path / ".partial" / "checkpoint-9").mkdir(parents=True)
    result, said = weights(folder.model), losses(folder)
    shutil.rmtree(folder.model)
    folder.note(status="failed")
    assert last_whole(folder.checkpoints()) == first
    assert same(weights(train(made, resume=True).model), result) and losses(folder) == said
    assert is_whole(second) and not (folder.path / ".partial").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_a_checkpoint_whose_bytes_were_damaged_is_named(tmp_path, tiny_llama, name):
    made = recipe("sft", tmp_path, tiny_llama)
    folder = train(made)
    file = folder.checkpoints()[-1] / name
    file.write_bytes(bytes(file.stat().st_size))  # of the same size
    folder.note(status="failed")
    with pytest.raises(TrainingError, match=r"checkpoint-4 cannot be read.*Remove that folder"):
        train(made, resume=True)


def test_a_state_that_is_no_json_makes_its_checkpoint_none(tmp_path, tiny_llama):
    folder = train(recipe("sft", tmp_path, tiny_llama))
    first, second = folder.checkpoints()
    state = second / "trainer_state.json"
    state.write_bytes(bytes(state.stat().st_size))
    assert last_whole([first, second]) == first


def test_a_run_does_not_go_on_with_other_rows_than_it_began_with(tmp_path, tiny_llama):
    made = recipe("sft", tmp_path, tiny_llama)
    folder = train(made)
    support.write(tmp_path / "rows.jsonl", support.ROWS["sft"][1:])
    folder.note(status="failed")
    with pytest.raises(DataError, match=r"rows\.jsonl does not hold the rows"):
        train(made, resume=True)
    support.write(tmp_path / "rows.jsonl", support.ROWS["sft"])
    assert train(made, resume=True).state["status"] == "finished"


def test_of_several_checkpoints_those_that_the_limit_allows_and_the_best_stay(tmp_path, tiny_llama):
    held = {"train": support.write(tmp_path / "a.jsonl", support.ROWS["sft"][:8])}
    held |= {"eval": support.write(tmp_path / "b.jsonl", support.ROWS["sft"][8:])}
    best = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True, "metric_for_best_model": "loss"}
    worst = {"greater_is_better": True, "max_steps": 5}  # the best is then an early one
    settings = {"save_steps": 1, "save_total_limit": 2, **best, **worst}
    folder = train(recipe("sft", tmp_path, tiny_llama, data=held, training=settings))
    evaluations = {line["step"]: line["eval_loss"] for line in folder.metrics() if "eval_loss" in line}
    first = max(evaluations, key=evaluations.get)
    assert first < 4 and [step_of(p) for p in folder.checkpoints()] == [first, 5]
    state = json.loads((folder.checkpoints()[-1] / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(folder.path / f"checkpoint-{first}")
    assert folder.state["metrics"]["eval_loss"] == evaluations[first] != evaluations[5]  # of the weights that are left
    assert same(weights(folder.model), weights(folder.path / f"checkpoint-{first}"))
