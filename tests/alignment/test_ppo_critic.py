"""A critic of its own begins where the recipe says, and is trained as the policy is."""

# ruff: noqa: E402  # imports come after the skips

import pytest

torch = pytest.importorskip("torch", reason="PPO needs torch")
pytest.importorskip("trl", reason="PPO stands on TRL's utilities")

from alignment.errors import ModelError
from alignment.ppo_models import load_models
from alignment.recipe import make_recipe
from alignment.reward_model import new_reward_model
from alignment.sections import LoraSection, ModelSection
from alignment.training_arguments import training_arguments
from benchmarks import ppo_toy
from decoder.runs.folder import RunFolder

# transformers 5.19 warns about the name that peft 0.21 asks by.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
TARGETS = ("q_proj", "v_proj")


def load(folder, critic_model, lora):
    recipe = make_recipe(
        {
            "stage": "ppo",
            "name": "critic",
            "model": {"path": str(folder / "base")},
            "lora": {"r": 2, "target_modules": list(TARGETS)} if lora else None,
            "training": {"critic": "separate", "critic_model": str(critic_model)},
        }
    )
    config = training_arguments(recipe, RunFolder(folder), "alignment.ppo_config:PPOConfig")
    return load_models(recipe, config).model.backbone


@pytest.fixture
def folder(tmp_path):
    ppo_toy.policy(5, torch.float32).save_pretrained(tmp_path / "base")
    ppo_toy.tokenizer().save_pretrained(tmp_path / "base")
    return tmp_path


@pytest.mark.parametrize("policy", ["full", "lora"])
@pytest.mark.parametrize("reward", ["full", "lora"])
def test_it_begins_as_the_reward_model(folder, reward, policy):
    lora = LoraSection(r=2, target_modules=TARGETS) if reward == "lora" else None
    network = new_reward_model(ModelSection(str(folder / "base")), lora, 1)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if "lora_B" in name or (lora is None and "q_proj" in name):
                weights.normal_(std=0.5)
    network.save_pretrained(folder / "reward")
    ppo_toy.tokenizer().save_pretrained(folder / "reward")
    backbone, ids = load(folder, folder / "reward", policy == "lora"), torch.tensor([[2, 3, 4]])
    with torch.no_grad():
        expected = network(ids, output_hidden_states=True).hidden_states[-1]
        assert torch.allclose(backbone(ids).last_hidden_state, expected, atol=1e-5)
    trained = {name for name, weights in backbone.named_parameters() if weights.requires_grad}
    assert trained and all("lora_" in name for name in trained) == (policy == "lora")
    assert policy == "lora" or trained == {name for name, _ in backbone.named_parameters()}


def test_one_that_cannot_be_loaded_is_refused(folder):
    (folder / "empty").mkdir()
    with pytest.raises(ModelError, match="loading the critic"):
        load(folder, folder / "empty", lora=False)
