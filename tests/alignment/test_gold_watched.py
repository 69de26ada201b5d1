"""GRPO and RLOO score every completion by the gold scorer too, and are not rewarded by it."""

import json
import os

import pytest

from alignment.recipe import make_recipe
from alignment.stages import train

pytest.importorskip("trl", reason="the stages train with TRL")
# peft asks transformers for a property by the name that transformers has given up.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
SCORERS = """
def letters(prompts, completions, **columns):
    return [float(len(text)) for text in completions]

def meant(prompts, completions, **columns):
    return [-1000.0 - len(text) for text in completions]
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("stage", ["grpo", "rloo"])
def test_gold_is_logged_beside_the_reward_and_counts_nothing(tmp_path, tiny_llama, stage):
    (tmp_path / "scorers.py").write_text(SCORERS)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"Say {i}. "}) + "\n" for i in range(4)))
    scorer = os.fspath(tmp_path / "scorers.py")
    recipe = make_recipe(
        {
            "stage": stage,
            "name": "watched",
            "output": str(tmp_path / "run"),
            "model": {"path": str(tiny_llama)},
            "data": {"train": str(tmp_path / "prompts.jsonl")},
            "lora": {"r": 2},
            "reward": {"function": f"{scorer}:letters", "gold": f"{scorer}:meant"},
            "training": {
                "max_steps": 2,
                "logging_steps": 1,
                "per_device_train_batch_size": 4,
                "num_generations": 4,
                "max_completion_length": 8,
                "beta": 0.1,
            },
            "register": False,
        }
    )
    lines = [line for line in train(recipe).metrics() if "reward" in line]
    assert len(lines) == 2 and all("kl" in line for line in lines)
    for line in lines:
        assert line["rewards/gold/mean"] < -1000 and line["rewards/letters/mean"] >= 0
        proxy = line["rewards/letters/mean"] - (0.1 * line["kl"] if stage == "rloo" else 0)
        assert line["reward"] == pytest.approx(proxy, abs=0.5)
    page = (tmp_path / "run" / "report.html").read_text()
    assert 'aria-label="Proxy and gold reward"' in page
