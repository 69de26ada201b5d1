"""`ppo` as a stage: from a recipe to a served artefact's folder; signals; several processes."""

# ruff: noqa: E402  # imports come after the skips

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PPO needs torch")
pytest.importorskip("trl", reason="PPO stands on TRL's utilities")
pytest.importorskip("alignment.data", reason="the stage reads its prompts with alignment.data")

from alignment import ppo
from alignment.errors import DataError
from alignment.recipe import make_recipe
from alignment.registry import list_artefacts
from benchmarks import ppo_toy
from decoder.errors import RecipeError, Stopped, UsageError
from decoder.runs.folder import RunFolder

# transformers 5.19 warns about the name that peft 0.21 asks by.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
ROOT = Path(__file__).resolve().parents[2]
PROCESSES = Path(__file__).with_name("ppo_processes_support.py")
REWARD = """
import os, signal
calls = []
def count(completion_ids):
    calls.append(1)
    if os.environ.get("STOP_AT") == str(len(calls)):
        os.kill(os.getpid(), signal.SIGTERM)
    return [float(sum(token == 2 for token in ids)) for ids in completion_ids]
def fails(completions):
    raise KeyError("answer")
"""


@pytest.fixture
def plain(tmp_path):
    return toy_recipe(tmp_path)


def toy_recipe(tmp_path):
    """What a recipe's file holds, and its files; everything is the same in each folder."""
    model = tmp_path / "model"
    ppo_toy.policy(5, torch.float32).save_pretrained(model)
    ppo_toy.tokenizer().save_pretrained(model)
    (tmp_path / "reward.py").write_text(REWARD)
    prompts = ["a b", "b c", "c a b", "a a a a a a a a"]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in prompts))
    return {
        "stage": "ppo",
        "name": "toy",
        "output": str(tmp_path / "run"),
        "model": {"path": str(model)},
        "lora": {"r": 2, "target_modules": ["q_proj", "v_proj"]},
        "data": {"train": str(tmp_path / "prompts.jsonl"), "format": "prompt"},
        "reward": {"function": f"{tmp_path / 'reward.py'}:count"},
        "training": {
            "max_steps": 3,
            "per_device_train_batch_size": 4,
            "max_completion_length": 3,
            "max_prompt_length": 4,
            "learning_rate": 1e-3,
        },
    }


def test_a_run_leaves_an_adapter_and_says_what_it_did(plain):
    folder = ppo.run(make_recipe(plain))
    state = folder.state
    assert state["status"] == "finished" and state["kind"] == "adapter"
    assert state["base"] == plain["model"]["path"] and len(state["base_sha256"]) == 64
    assert state["data"]["train_rows"] == 3, "a long prompt is left out, and listed"
    assert [(row["index"], row["reason"]) for row in state["data"]["dropped_rows"]] == [
        (3, "it has 8 tokens, and 4 are allowed")
    ]
    assert (folder.path / "report.html").exists()
    assert [artefact.stage for artefact in list_artefacts()][-1] == "ppo"
    assert {"reward", "kl"} <= set(state["metrics"])
    assert (folder.model / "adapter_model.safetensors").exists() and (folder.model / "tokenizer.json").exists()
    assert len(folder.metrics()) == 3


def test_rows_that_are_held_out_are_evaluated_an_epoch_and_two_checkpoints_are_kept(plain, tmp_path):
    (tmp_path / "held.jsonl").write_text(json.dumps({"prompt": "b b"}) + "\n")
    plain["data"]["eval"] = str(tmp_path / "held.jsonl")
    plain["training"] |= {"max_steps": 4, "per_device_train_batch_size": 1, "save_steps": 1}
    folder = ppo.run(make_recipe(plain))
    assert ["eval_reward" in line for line in folder.metrics()] == [False, False, True, True], (
        "three rows, then the end"
    )
    assert [path.name for path in folder.checkpoints()] == ["checkpoint-3", "checkpoint-4"]


def test_whole_weights_can_be_loaded_again(plain):
    from transformers import AutoModelForCausalLM

    folder = ppo.run(make_recipe({**plain, "lora": None}))
    assert folder.state["kind"] == "model" and folder.state["base"] == plain["model"]["path"]
    AutoModelForCausalLM.from_pretrained(folder.model)


def test_a_signal_ends_it_after_a_checkpoint_and_resume_ends_where_it_would_have(plain, tmp_path, monkeypatch):
    whole = ppo.run(make_recipe({**plain, "output": str(tmp_path / "whole")}))
    monkeypatch.setenv("STOP_AT", "2")
    with pytest.raises(Stopped, match="Go on with --resume"):
        ppo.run(make_recipe(plain))
    stopped = RunFolder(Path(plain["output"]))
    assert stopped.state["status"] == "stopped" and [p.name for p in stopped.checkpoints()] == ["checkpoint-2"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    monkeypatch.delenv("STOP_AT")
    folder = ppo.run(make_recipe(plain), resume=True)
    weights = "adapter_model.safetensors"
    assert (folder.model / weights).read_bytes() == (whole.model / weights).read_bytes()
    assert folder.metrics() == whole.metrics()


def test_a_run_that_fails_says_why(plain, tmp_path):
    plain["reward"] = {"function": f"{tmp_path / 'reward.py'}:fails"}
    with pytest.raises(DataError, match="fails raised KeyError"):
        ppo.run(make_recipe(plain))
    state = RunFolder(Path(plain["output"])).state
    assert state["status"] == "failed" and "KeyError" in state["error"]


def test_without_a_reward_it_is_refused(plain):
    with pytest.raises(RecipeError, match="ppo has no reward"):
        ppo.run(make_recipe({**plain, "reward": {}}))


@pytest.mark.parametrize(
    ("section", "changed", "said"),
    [
        ("lora", {"dropout": 0.1}, "lora.dropout is 0.1, and ppo trains without dropout"),
        ("training", {"max_completion_length": 100_000}, "training.max_completion_length is 100000"),
    ],
)
def test_what_could_not_be_done_as_asked_is_refused_before_a_folder_is_made(plain, section, changed, said):
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        ppo.run(make_recipe({**plain, section: plain[section] | changed}))
    assert not Path(plain["output"]).exists()


def in_two_processes(plain, tmp_path, *flags, **environment):
    """The stage, started twice; the processes' weights are compared before they are saved."""
    script = tmp_path / "two.py"
    script.write_text(
        "import json, sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from alignment import ppo_trainer\n"
        "from alignment.ppo import run\n"
        "from alignment.recipe import make_recipe\n"
        "save = ppo_trainer.PPOTrainer.save_model\n"
        "def checked(self):\n"
        "    ours = torch.cat([p.detach().flatten() for p in self.model.parameters() if p.requires_grad])\n"
        "    both = self.accelerator.gather(ours[None])\n"
        "    assert self.accelerator.num_processes == 2 and torch.equal(both[0], both[1]), 'the processes differ'\n"
        "    save(self)\n"
        "ppo_trainer.PPOTrainer.save_model = checked\n"
        "run(make_recipe(json.load(open(sys.argv[1]))), resume='--resume' in sys.argv)\n"
    )
    (tmp_path / "recipe.json").write_text(json.dumps(plain))
    return launched(2, script, tmp_path / "recipe.json", *flags, **environment)


def launched(processes, *command, **environment):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment |= os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    environment["ACCELERATE_USE_CPU"] = "true"  # what `accelerate launch --cpu` says
    return subprocess.run(
        [*launcher, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def whole_of_two(tmp_path_factory):
    """A run of two processes that nothing befell."""
    place = tmp_path_factory.mktemp("whole-of-two")
    plain = toy_recipe(place)
    done = in_two_processes(plain, place)
    assert done.returncode == 0, done.stderr[-3000:]
    return RunFolder(Path(plain["output"]))


@pytest.mark.slow
def test_two_processes_train_one_policy(whole_of_two):
    """Each takes half of the episodes; the weights stay the same in both, and the figures are those of all."""
    folder = whole_of_two
    assert folder.state["status"] == "finished" and len(folder.metrics()) == 3
    assert folder.metrics()[-1]["epoch"] == pytest.approx(3 * 8 / 3)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_processes_that_were_stopped_end_where_they_would_have(plain, tmp_path, whole_of_two):
    stopped = in_two_processes(plain, tmp_path, STOP_AT="2")
    assert stopped.returncode and "Stopped" in stopped.stderr
    assert in_two_processes(plain, tmp_path, "--resume").returncode == 0
    one, other = whole_of_two, RunFolder(Path(plain["output"]))
    assert other.metrics() == one.metrics() and len(one.metrics()) == 3
    weights = "adapter_model.safetensors"
    assert (other.model / weights).read_bytes() == (one.model / weights).read_bytes()


@pytest.mark.slow
def test_two_processes_make_the_step_that_one_would_make(tmp_path, monkeypatch):
    """One has the short responses and the other the long ones: means, whitening, losses and gradients are of all."""
    monkeypatch.syspath_prepend(PROCESSES.parent)
    file = tmp_path / "two.pt"
    done = launched(2, PROCESSES, file)
    assert done.returncode == 0, done.stderr[-3000:]
    two, others = torch.load(file, weights_only=True)
    one, figures = importlib.import_module(PROCESSES.stem).step(1, 0)
    assert (one - two).norm() < 1e-9 * one.norm()
    assert others == {name: pytest.approx(figure, rel=1e-9, abs=1e-9) for name, figure in figures.items()}
