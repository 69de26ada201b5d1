"""hearth-tiny's own recipes, run as they ship but for sizes, steps and compiling: the smoke version of what made it."""

import json

import pytest

from alignment.recipe import load_recipe
from alignment.stages import train
from ui.tiny.data import write

SMALL = ("training.bf16=false", "register=false", "training.max_steps=2", "training.per_device_train_batch_size=2")
UNCOMPILED = ("training.torch_compile=false",)
NEW = (
    *UNCOMPILED,
    "architecture.hidden_size=64",
    "architecture.intermediate_size=64",
    "architecture.num_hidden_layers=1",
    "architecture.num_attention_heads=1",
    "architecture.num_key_value_heads=1",
    "architecture.vocab_size=1200",
)
PPO = ("training.max_completion_length=8", "training.num_mini_batches=1", "training.num_ppo_epochs=1")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with the data where the recipes look for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    counts = write(tmp_path / "runs/hearth-tiny/data", 0.01, 0, None, None)
    assert all(counts.values())
    return tmp_path


def test_every_stage_runs_on_what_the_one_before_left(place):
    stages = {
        "pretrain-tiny-copying": NEW,
        "pretrain-tiny": UNCOMPILED,
        "sft-tiny-short": (),
        "sft-tiny": (),
        "reward-tiny": (),
        "ppo-tiny": PPO,
        "dpo-tiny": (),
    }
    for recipe, extra in stages.items():
        folder = train(load_recipe(recipe, [*SMALL, *extra]))
        assert folder.state["status"] == "finished", recipe
        assert (folder.model / "model.safetensors").is_file() or (folder.model / "adapter_model.safetensors").is_file()
    assert folder.path.resolve() == place / "runs/hearth-tiny-dpo"


def test_the_same_seed_writes_the_same_rows_and_another_seed_others(tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        write(tmp_path / name, 0.002, seed, None, None)
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
        assert file.read_bytes() != (tmp_path / "three" / file.name).read_bytes()


def test_rows_of_agents_end_with_the_answer_and_begin_with_the_agents_own_system_message(place):
    text = (place / "runs/hearth-tiny/data/sft.jsonl").read_text()
    rows = [json.loads(line)["messages"] for line in text.splitlines()]
    agents = [row for row in rows if row[0]["content"].startswith("You do a task for a user, step by step")]
    assert agents
    assert all(json.loads(row[-1]["content"])["name"] == "final_answer" for row in agents)
