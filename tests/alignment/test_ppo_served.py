"""Responses from a running vLLM: the ids that it drew are the ids that are scored, from the adapter in training."""

# ruff: noqa: E402  # imports come after the skips

import json

import pytest

torch = pytest.importorskip("torch", reason="PPO needs torch")
pytest.importorskip("trl", reason="PPO stands on TRL's utilities")

from alignment.models import load_decoder, load_tokenizer
from alignment.ppo_config import PPOConfig
from alignment.ppo_critic import predict
from alignment.ppo_models import load_models
from alignment.ppo_rollout import collect, encode_prompt, stop_tokens
from alignment.ppo_served import ServedPolicy, request_body
from alignment.ppo_trainer import PPOTrainer
from alignment.recipe import make_recipe
from alignment.reward_sources import checked
from alignment.sections import LoraSection, ModelSection
from alignment.training_arguments import training_arguments
from decoder.errors import ConnectFailed, MalformedResponse, RecipeError, TrainingError
from decoder.runs.folder import RunFolder
from decoder.server_http import model_names, request

# transformers 5.19 warns about the name that peft 0.21 asks by.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def settings(tmp_path, base_url, **changed):
    values = {"max_completion_length": 12, "temperature": 1.5, "vllm_server_timeout": 60.0, **changed}
    return PPOConfig(
        output_dir=str(tmp_path),
        use_cpu=True,
        bf16=False,
        report_to="none",
        gradient_checkpointing=None,
        activation_checkpointing=False,
        use_vllm=True,
        vllm_server_base_url=base_url,
        **values,
    )


def adapted(tiny_llama, seed=1):
    """A policy that its adapter has taken far from its base."""
    policy = load_decoder(ModelSection(str(tiny_llama)), LoraSection(r=4, target_modules=("q_proj", "o_proj")))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.5)
    return policy


@pytest.mark.vllm
@pytest.mark.timeout(400)
def test_the_servers_ids_are_what_is_scored_and_its_log_probabilities_are_near_ours(vllm_server, tiny_llama, tmp_path):
    config = settings(tmp_path, vllm_server.base_url)
    policy, tokenizer = adapted(tiny_llama), load_tokenizer(ModelSection(str(tiny_llama)))
    stops = stop_tokens(policy, tokenizer)
    words = ("Who gathers round the hearth?", "Bread", "2 + 2", "In the evening, ")
    prompts = [encode_prompt(tokenizer, {"prompt": [{"role": "user", "content": text}]}) for text in words]
    served = ServedPolicy(policy, config, "scored", tmp_path)
    served.sync(1)
    try:
        drawn = served.generate(prompts, stops, seed=5)
        again = served.generate(prompts, stops, seed=5)
        other = served.generate(prompts, stops, seed=6)
        # The server tells the log-probability of each token that it draws, before it divides by the temperature.
        body = request_body(served.loaded, prompts[0], stops, config, 5)
        status, text = request(vllm_server.base_url, "/v1/completions", body, timeout=60)
        names = model_names(vllm_server.base_url)
    finally:
        served.forget()
    assert status == 200 and any(name.startswith("scored-step-1-") for name in names)
    assert drawn == again != other, "drawn by the seed"
    assert all(ids and all(token not in stops for token in ids[:-1]) for ids in drawn)
    choice = json.loads(text)["choices"][0]
    assert choice["token_ids"] == drawn[0]
    rollout = collect(prompts, drawn, stops, tokenizer.pad_token_id, "cpu")
    assert rollout.responses() == drawn, "the ids are scored as they came"
    with torch.no_grad():
        ours = predict(policy, rollout.ids, rollout.mask, rollout.live.shape[1], 1.0)[0][0][rollout.live[0]]
    theirs = torch.tensor(choice["logprobs"]["token_logprobs"])
    assert torch.allclose(ours, theirs, atol=0.02), (ours, theirs)
    assert not any(name.startswith("scored-") for name in model_names(vllm_server.base_url))
    assert not list(tmp_path.glob("scored-*"))


@pytest.mark.vllm
@pytest.mark.timeout(400)
def test_a_run_trains_what_the_server_draws_from(vllm_server, tiny_llama, tmp_path):
    values = {
        "max_steps": 2,
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 4,
        "num_ppo_epochs": 2,
        "max_completion_length": 8,
        "use_vllm": True,
        "vllm_server_base_url": vllm_server.base_url,
        "critic": "head",
    }
    lora = {"r": 4, "target_modules": ["q_proj", "o_proj"]}
    recipe = make_recipe(
        {"stage": "ppo", "name": "served", "model": {"path": str(tiny_llama)}, "lora": lora, "training": values}
    )
    folder = RunFolder(tmp_path)
    config = training_arguments(recipe, folder, "alignment.ppo_config:PPOConfig")
    tokenizer = load_tokenizer(recipe.model)
    rows = [{"prompt": [{"role": "user", "content": text}]} for text in ("Bread?", "Fire?", "House?", "Evening?")]
    rewards = [checked(lambda completion_ids: [float(len(ids)) for ids in completion_ids], "length")]
    figures = PPOTrainer(load_models(recipe, config), tokenizer, rows, rewards, config, folder).train()
    assert figures["kl"] != 0 and len(folder.metrics()) == 2
    assert model_names(vllm_server.base_url) == [vllm_server.model], "nothing of the run is left in the server"


def test_no_server_is_an_error_at_once(tiny_llama, tmp_path):
    with pytest.raises(ConnectFailed):
        ServedPolicy(adapted(tiny_llama), settings(tmp_path, "http://127.0.0.1:9/v1"), "none", tmp_path)


def test_all_weights_cannot_be_handed_to_a_running_server(tiny_llama, tmp_path):
    policy = load_decoder(ModelSection(str(tiny_llama)))
    with pytest.raises(RecipeError, match="only an adapter"):
        ServedPolicy(policy, settings(tmp_path, "http://127.0.0.1:9/v1"), "whole", tmp_path)


def stand_in(web):
    """What the server would be told and asked, without the minutes that vLLM takes to start."""
    web.page("/v1/models", json.dumps({"data": [{"id": "base"}]}).encode())
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter"):
        web.page(path, b"{}")


def test_weights_that_are_served_already_stay(web, tiny_llama, tmp_path):
    """The step after an evaluation draws from the same adapter."""
    stand_in(web)
    served = ServedPolicy(adapted(tiny_llama), settings(tmp_path, web.base + "/v1"), "run", tmp_path)
    served.sync(1)
    served.sync(1)
    assert served.loaded and (tmp_path / served.loaded / "adapter_model.safetensors").exists()


def test_what_a_killed_run_left_is_unloaded_and_removed(web, tiny_llama, tmp_path):
    stand_in(web)
    killed = ServedPolicy(adapted(tiny_llama, 1), settings(tmp_path, web.base + "/v1"), "run", tmp_path)
    killed.sync(1)
    before = web.paths().count("/v1/unload_lora_adapter")
    served = ServedPolicy(adapted(tiny_llama, 2), settings(tmp_path, web.base + "/v1"), "run", tmp_path)
    served.sync(0)
    assert [path.name for path in tmp_path.glob("run-*")] == [served.loaded]
    assert web.paths().count("/v1/unload_lora_adapter") - before == 2, "the one left, and one of the new name"


def test_another_run_of_the_same_name_has_adapters_of_other_names(web, tiny_llama, tmp_path):
    """The server may still hold the first one's cache, by name."""
    stand_in(web)
    names = []
    for seed in (1, 2):
        served = ServedPolicy(adapted(tiny_llama, seed), settings(tmp_path, web.base + "/v1"), "run", tmp_path)
        served.sync(1)
        names.append(served.loaded)
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        ("200 OK", {"choices": [{"text": "hi"}]}, MalformedResponse),
        ("200 OK", {"choices": [{"token_ids": [5], "prompt_token_ids": [1, 9]}]}, MalformedResponse),
        ("200 OK", {"choices": [{"token_ids": [], "prompt_token_ids": [1, 2]}]}, MalformedResponse),
        ("500 Internal Server Error", {"error": {"message": "out of memory"}}, TrainingError),
    ],
)
def test_an_answer_without_the_ids_is_refused(web, tiny_llama, tmp_path, status, answer, error):
    """A server that answers so is no vLLM, and none can be made to: so this one is a stand-in."""
    web.page("/v1/models", json.dumps({"data": [{"id": "base"}]}).encode())
    web.page("/v1/completions", json.dumps(answer).encode(), status=status)
    served = ServedPolicy(adapted(tiny_llama), settings(tmp_path, web.base + "/v1"), "odd", tmp_path)
    with pytest.raises(error):
        served.generate([[1, 2]], frozenset({2}), 0)


def test_a_model_that_the_server_lacks_is_named(web, tiny_llama, tmp_path):
    web.page("/v1/models", json.dumps({"data": [{"id": "base"}]}).encode())
    config = settings(tmp_path, web.base + "/v1", vllm_server_model="other")
    with pytest.raises(RecipeError, match="serves base, not other"):
        ServedPolicy(adapted(tiny_llama), config, "odd", tmp_path)
