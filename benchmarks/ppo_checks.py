"""What must hold of PPO, on the toy of ppo_toy.py: each check is a function of a seed that raises AssertionError.

`alignment.ppo_*` is imported inside the checks, so that they also judge the mutants of ppo_mutants.py. What is
checked is the code that a run uses: `make_experience`, `update`, `Reference`, `generate`.
"""

from __future__ import annotations

import dataclasses
import tempfile
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from benchmarks import ppo_toy as toy

BETA, TEMPERATURE, PENALTY = 0.3, 0.7, 0.5
EPISODES = len(toy.PROMPTS) * len(toy.RESPONSES)
MICRO = 17


def config(**changed: Any) -> Any:
    """Every episode of the toy in one minibatch of ten micro-batches."""
    values = {
        "output_dir": tempfile.gettempdir(),
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": None,
        "activation_checkpointing": False,
        "report_to": "none",
        "per_device_train_batch_size": MICRO,
        "gradient_accumulation_steps": EPISODES // MICRO,
        "num_ppo_epochs": 1,
        "max_completion_length": toy.LENGTH,
        "temperature": TEMPERATURE,
        "kl_coef": BETA,
        "missing_eos_penalty": PENALTY,
        "gamma": 1.0,
        "lam": 1.0,
        "vf_coef": 0.0,
        "max_grad_norm": 0.0,
        "local_rollout_forward_batch_size": 64,
        **changed,
    }
    return import_module("alignment.ppo_config").PPOConfig(**values)


@dataclasses.dataclass
class Bench:
    """A policy, its critic and its reference, and the parts of a run around them."""

    model: Any
    reference: Any
    frozen: Any
    head: Any
    rewards: Tensor

    @property
    def policy(self) -> Any:
        """The language model."""
        return self.model.policy


def bench(seed: int, lora: bool = False) -> Bench:
    """Random in everything; the policy has moved away from its reference, and the value head is not zero."""
    critic = import_module("alignment.ppo_critic")
    start = toy.policy(seed)
    if lora:
        model = critic.ActorCritic(_with_lora(start, seed))
        reference, frozen = critic.Reference(model, model.policy), toy.policy(seed)
    else:
        model = critic.ActorCritic(toy.moved(start, seed + 1))
        reference, frozen = critic.Reference(model, model.policy, start), start
    critic.without_dropout(model)
    torch.manual_seed(seed + 2)
    torch.nn.init.normal_(model.value_head.weight, std=0.5)
    return Bench(model, reference, frozen, model.value_head, torch.randn(EPISODES, dtype=torch.float64))


def _with_lora(start: Any, seed: int) -> Any:
    import peft

    torch.manual_seed(seed + 1)
    targets = ["q_proj", "v_proj", "down_proj"]
    policy = peft.get_peft_model(start, peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    return policy.double()


def enumerated(policy: Any, left: int = 0, right: int = 0) -> Any:
    """The rollout that holds every episode, weighted by its probability under `policy`; `left`, `right`: padding."""
    found = import_module("alignment.ppo_rollout")
    prompts, responses = zip(*toy.episodes(), strict=True)
    rollout = found.collect(prompts, responses, frozenset({toy.STOP}), toy.PAD, "cpu")
    with torch.no_grad():
        weights = torch.stack([each.sum().exp() for each in toy.table(policy, TEMPERATURE)]) / len(toy.PROMPTS)
    pad = torch.nn.functional.pad
    return dataclasses.replace(
        rollout,
        prompt_ids=pad(rollout.prompt_ids, (left, 0), value=toy.PAD),
        prompt_mask=pad(rollout.prompt_mask, (left, 0)),
        response_ids=pad(rollout.response_ids, (0, right), value=toy.PAD),
        live=pad(rollout.live, (0, right)),
        weights=weights,
    )


def steps(on: Bench, rollout: Any, settings: Any, rate: float = 1.0) -> tuple[Tensor, dict[str, float], Any]:
    """How far plain gradient descent moves the policy, the update's figures, and the experience."""
    experience_module = import_module("alignment.ppo_experience")
    trainer, update = import_module("alignment.ppo_trainer"), import_module("alignment.ppo_update")
    experience, found = experience_module.make_experience(
        on.model, on.reference, rollout, on.rewards, settings, settings.kl_coef
    )
    accelerator = trainer.make_accelerator(settings)
    named = [p for p in on.model.parameters() if p.requires_grad]
    model, optimizer = accelerator.prepare(on.model, torch.optim.SGD(named, lr=rate))
    before = flat(on.policy)
    figures = update.update(model, optimizer, accelerator, experience, settings, 1)
    return (flat(on.policy) - before) / rate, figures | {k: float(v) for k, v in found.items()}, experience


def flat(policy: Any) -> Tensor:
    """The trained parameters as one vector."""
    return torch.cat([p.detach().flatten().clone() for p in policy.parameters() if p.requires_grad])


def shaped(on: Bench) -> Tensor:
    """Rewards less the penalty of those that do not end."""
    ended = torch.tensor([response[-1] == toy.STOP for _, response in toy.episodes()])
    return torch.where(ended, on.rewards, on.rewards - PENALTY)


def cosine(one: Tensor, other: Tensor) -> float:
    """Of the angle between two vectors."""
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def identity_cosine(seed: int, lora: bool = False, **changed: Any) -> float:
    """Cosine between a step's direction and the gradient of J = E[r] - beta KL, at the policy that generated."""
    on = bench(seed, lora)
    named = [p for p in on.policy.parameters() if p.requires_grad]
    goal = toy.objective(on.policy, on.frozen, shaped(on), BETA, TEMPERATURE)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(goal, named)])
    moved, _, _ = steps(on, enumerated(on.policy), config(**changed))
    return cosine(moved, gradient)


def gradient_identity(seed: int) -> None:
    """The policy gradient is that of J, whatever the value function says, with all weights trained."""
    found = identity_cosine(seed)
    assert found > 0.9999, f"cosine {found}"


def gradient_identity_lora(seed: int) -> None:
    """So it is when an adapter is trained and the reference is the model without it."""
    found = identity_cosine(seed, lora=True)
    assert found > 0.9999, f"cosine {found}"


def second_pass(seed: int) -> None:
    """The second pass follows the clipped objectives, advantages and whitening as the papers define them.

    The first pass moves the policy out of the clip range of many tokens; the second one's direction and length are held
    against a slow reference.
    """
    rate, changed = 3.0, {"gamma": 0.97, "lam": 0.9, "vf_coef": 0.5, "whiten_rewards": True, "cliprange_value": 0.02}
    first, second = bench(seed), bench(seed)
    old = bench(seed)
    one, _, _ = steps(first, enumerated(first.policy), config(**changed), rate)
    two, figures, _ = steps(second, enumerated(second.policy), config(num_ppo_epochs=2, **changed), rate)
    assert figures["clip_fraction"] > 0.02, f"the check checks nothing: clip fraction {figures['clip_fraction']}"
    named = [p for p in first.policy.parameters() if p.requires_grad]
    loss = slow_loss(first, old, changed)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, named)])
    error = float((two - one + gradient).norm() / gradient.norm())
    assert error < 1e-6, f"relative error {error}"


def slow_loss(now: Bench, old: Bench, changed: dict[str, Any]) -> Tensor:
    """Clipped policy and value loss of all episodes, one after another, from the definitions."""
    rows = []
    for at, (prompt, response) in enumerate(toy.episodes()):
        with torch.no_grad():
            before = toy.token_logprobs(old.policy, prompt, response, TEMPERATURE)
            reference = toy.token_logprobs(old.frozen, prompt, response, TEMPERATURE)
            values = toy.state_values(old.policy, old.head, prompt, response)
            rewards = -BETA * (before - reference)
            rewards[-1] += shaped(old)[at]
            rows.append((prompt, response, before, values, rewards))
    weight = [torch.full_like(row[2], float(row[2].sum().exp()) / len(toy.PROMPTS)) for row in rows]
    weights = torch.cat(weight)
    rewards = whitened(torch.cat([row[4] for row in rows]), weights, keep_mean=True).split([len(w) for w in weight])
    gains = [toy.advantages(r, row[3], changed["gamma"], changed["lam"]) for r, row in zip(rewards, rows, strict=True)]
    scaled = whitened(torch.cat(gains), weights, keep_mean=False).split([len(w) for w in weight])
    total = torch.zeros((), dtype=torch.float64)
    for (prompt, response, before, values, _), gain, raw, w in zip(rows, scaled, gains, weight, strict=True):
        ratio = (toy.token_logprobs(now.policy, prompt, response, TEMPERATURE) - before).exp()
        surrogate = torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain)
        new = toy.state_values(now.policy, now.head, prompt, response)
        near = torch.clamp(new, values - changed["cliprange_value"], values + changed["cliprange_value"])
        goal = raw + values
        error = 0.5 * torch.maximum((new - goal) ** 2, (near - goal) ** 2)
        total = total + (w * (changed["vf_coef"] * error - surrogate)).sum()
    return total / weights.sum()


def whitened(values: Tensor, weights: Tensor, keep_mean: bool) -> Tensor:
    """Weighted variance 1, and mean 0 or as before."""
    mean = (values * weights).sum() / weights.sum()
    deviation = (((values - mean) ** 2 * weights).sum() / weights.sum()).sqrt()
    return (values - mean) / deviation + (mean if keep_mean else 0.0)


def padding(seed: int) -> None:
    """More padding on either side changes neither the step nor a figure; pads are worth nothing."""
    changed = {"lam": 0.9, "vf_coef": 0.5, "whiten_rewards": True}
    narrow, wide = bench(seed), bench(seed)
    one, figures, less = steps(narrow, enumerated(narrow.policy), config(**changed))
    two, others, more = steps(wide, enumerated(wide.policy, left=3, right=2), config(**changed))
    assert (one - two).norm() < 1e-8 * one.norm(), f"steps differ by {(one - two).norm() / one.norm()}"
    for name, figure in figures.items():
        assert abs(figure - others[name]) < 1e-7 * max(1, abs(figure)), f"{name}: {figure} and {others[name]}"
    live = less.weights > 0
    for name in ("logprobs", "values", "advantages", "returns"):
        same, wider = getattr(less, name), getattr(more, name)[:, : toy.LENGTH]
        assert torch.allclose(same[live], wider[live], atol=1e-9), name
    assert not more.advantages[more.weights == 0].any(), "padding has advantages"


def first_ratio(seed: int) -> None:
    """On the first minibatch the new policy is the old one: the ratio is 1, nothing is clipped."""
    on = bench(seed)
    _, figures, experience = steps(on, enumerated(on.policy), config())
    assert abs(figures["approx_kl"]) < 1e-12, figures["approx_kl"]
    assert figures["clip_fraction"] == 0, figures["clip_fraction"]
    direct = toy.table(bench(seed).policy, TEMPERATURE)
    for row, (found, expected) in enumerate(zip(experience.logprobs, direct, strict=True)):
        assert torch.allclose(found[: len(expected)], expected, atol=1e-10), f"row {row}: {found}, {expected}"


def whitening(seed: int) -> None:
    """Over live tokens, and over those alone, advantages have mean 0 and variance 1."""
    on = bench(seed)
    _, _, experience = steps(on, enumerated(on.policy, right=4), config())
    weights = experience.weights / experience.weights.sum()
    mean = float((experience.advantages * weights).sum())
    variance = float((experience.advantages**2 * weights).sum())
    assert abs(mean) < 1e-9 and abs(variance - 1) < 1e-5, f"mean {mean}, variance {variance}"


def figures_told(seed: int) -> None:
    """The KL that is logged and steered by is that of the whole response, from its definition."""
    on = bench(seed)
    with torch.no_grad():
        ours = torch.stack([each.sum() for each in toy.table(on.policy, TEMPERATURE)])
        theirs = torch.stack([each.sum() for each in toy.table(on.frozen, TEMPERATURE)])
    expected = float((ours.exp() * (ours - theirs)).sum() / len(toy.PROMPTS))
    _, figures, _ = steps(on, enumerated(on.policy), config())
    assert abs(figures["kl"] - expected) < 1e-9, f"kl {figures['kl']}, {expected}"


def early_stop(seed: int) -> None:
    """Passes end once the policy has moved by target_kl, before the step that would go on."""
    on, free = bench(seed), bench(seed)
    changed = {"num_ppo_epochs": 6}
    _, unbound, _ = steps(free, enumerated(free.policy), config(**changed), rate=3.0)
    _, bound, _ = steps(on, enumerated(on.policy), config(target_kl=1e-4, **changed), rate=3.0)
    assert unbound["optimizer_steps"] == 6 and bound["optimizer_steps"] == 1, (unbound, bound)


def steering(seed: int) -> None:
    """The adaptive coefficient rises above the target, falls below it, and a fixed one stays."""
    control = import_module("alignment.ppo_kl").KlControl
    for kl, sign in ((9.0, 1), (6.0, 0), (1.0 + seed % 3, -1)):
        steered, fixed = control(0.1, 6.0, 1000), control(0.1)
        steered.update(kl, 100)
        fixed.update(kl, 100)
        assert fixed.coefficient == 0.1
        assert (steered.coefficient > 0.1) - (steered.coefficient < 0.1) == sign, (kl, steered.coefficient)


CHECKS = (
    gradient_identity,
    second_pass,
    padding,
    first_ratio,
    whitening,
    gradient_identity_lora,
    figures_told,
    early_stop,
    steering,
)
