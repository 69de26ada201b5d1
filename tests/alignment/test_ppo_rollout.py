"""What is drawn is what is scored: stop tokens, masks, padding, a distribution that nothing but temperature bends."""

# ruff: noqa: E402  # imports come after the skips

import pytest

torch = pytest.importorskip("torch", reason="PPO needs torch")
pytest.importorskip("trl", reason="PPO stands on TRL's utilities")
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from alignment.ppo_critic import ActorCritic, positions, without_dropout
from alignment.ppo_rollout import collect, cut, encode_prompt, generate, stop_tokens
from benchmarks import ppo_checks, ppo_toy
from decoder.errors import Diverged

STOPS = frozenset({ppo_toy.STOP})
tokens = st.lists(st.integers(0, 4), min_size=1, max_size=6)


@given(tokens)
def test_a_response_is_cut_after_its_first_stop_token(ids):
    found = cut(ids, STOPS)
    assert found == ids[: len(found)] and ppo_toy.STOP not in found[:-1]
    assert len(found) == len(ids) or found[-1] == ppo_toy.STOP


@settings(deadline=None)
@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=4))
def test_a_rollout_holds_each_response_and_nothing_else(pairs):
    prompts, responses = zip(*((prompt, cut(response, STOPS)) for prompt, response in pairs), strict=True)
    rollout = collect(prompts, responses, STOPS, ppo_toy.PAD, "cpu")
    assert rollout.responses() == list(responses), "padding tokens that were drawn included"
    assert [ids[mask.bool()].tolist() for ids, mask in zip(rollout.prompt_ids, rollout.prompt_mask, strict=True)] == [
        *map(list, prompts)
    ]
    assert rollout.ended.tolist() == [response[-1] == ppo_toy.STOP for response in responses]
    assert rollout.prompt_mask[:, -1].all() and rollout.live[:, 0].all(), "prompts end where responses begin"


def test_positions_begin_at_a_rows_first_token():
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    assert positions(mask).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]]


def test_left_padding_agrees_with_right_padding_and_with_none_under_learned_positions_and_dropout():
    """GPT-2 tells positions apart by a table and drops activations in training; neither may be seen."""
    torch.manual_seed(0)
    model = ActorCritic(GPT2LMHeadModel(GPT2Config(vocab_size=5, n_positions=16, n_embd=16, n_layer=1, n_head=2)))
    without_dropout(model)
    model.train()
    torch.nn.init.normal_(model.value_head.weight)
    prompt, response = [2, 3], [4, 0, 1]
    plain, left, right = (
        model(torch.tensor([ids]), torch.tensor([mask]), width, 0.7)
        for ids, mask, width in (
            (prompt + response, [1] * 5, 3),
            ([0, 0, 0, *prompt, *response], [0] * 3 + [1] * 5, 3),
            ([*prompt, *response, 0, 0], [1] * 5 + [0] * 2, 5),
        )
    )
    for name in ("logprobs", "values", "entropy"):
        expected = getattr(plain, name)
        assert torch.allclose(getattr(left, name), expected, atol=1e-5), name
        assert torch.allclose(getattr(right, name)[:, :3], expected, atol=1e-5), name


def test_the_models_own_generation_settings_do_not_bend_the_distribution():
    """They could forbid tokens, punish repetition or ask for more; the log-probabilities would be of something else."""
    policy = ppo_toy.policy(3, torch.float32)
    policy.generation_config = GenerationConfig(
        eos_token_id=1, top_k=1, repetition_penalty=5.0, suppress_tokens=[2], min_new_tokens=3, temperature=0.1
    )
    before = policy.generation_config
    config = ppo_checks.config(temperature=1.3, local_rollout_forward_batch_size=1000)
    torch.manual_seed(0)
    prompt = ppo_toy.PROMPTS[0]
    drawn = generate(policy, [prompt] * 4000, STOPS, ppo_toy.PAD, config)
    assert policy.generation_config is before
    with torch.no_grad():
        expected = ppo_toy.table(policy, 1.3)
    for at, response in enumerate(ppo_toy.RESPONSES):
        share = sum(tuple(ids) == response for ids in drawn) / len(drawn)
        probability = float(expected[at].sum().exp())
        assert abs(share - probability) < 5 * (probability * (1 - probability) / len(drawn)) ** 0.5 + 1e-3, response


def test_every_stop_token_that_the_model_knows_counts():
    policy = ppo_toy.policy(0)
    policy.generation_config.eos_token_id = [1, 4]
    assert stop_tokens(policy, ppo_toy.tokenizer()) == {1, 4}


def test_a_policy_whose_weights_are_no_numbers_is_diverged():
    policy = ppo_toy.policy(0, torch.float32)
    with torch.no_grad():
        policy.lm_head.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"no numbers.*learning_rate"):
        generate(policy, [(2, 3)], STOPS, ppo_toy.PAD, ppo_checks.config())


def test_prompts_are_text_or_messages():
    tokenizer = ppo_toy.tokenizer()
    assert encode_prompt(tokenizer, {"prompt": "a b c"}) == [2, 3, 4]
    tokenizer.chat_template = (
        "{% for m in messages %}a {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}b{% endif %}"
    )
    assert encode_prompt(tokenizer, {"prompt": [{"role": "user", "content": "c c"}]}) == [2, 4, 4, 3]
