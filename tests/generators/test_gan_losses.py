"""The losses of GANs against their closed forms, and the penalties on functions whose gradients are known."""

import math

import pytest
import torch
from torch import nn

from generators import gan_losses as losses


def scores(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_an_undecided_discriminator_loses_two_bits_and_its_generator_one():
    nothing = torch.zeros(7)
    assert losses.logistic_discriminator(nothing, nothing).item() == pytest.approx(2 * math.log(2))
    assert losses.logistic_generator(nothing).item() == pytest.approx(math.log(2))


def test_the_logistic_losses_are_the_cross_entropy_of_the_scores():
    real, fake = scores(2.0, -1.0), scores(0.5, -3.0)
    entropy = nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
    assert losses.logistic_discriminator(real, fake).item() == pytest.approx(expected.item())
    assert losses.logistic_generator(fake).item() == pytest.approx(entropy(fake, torch.ones_like(fake)).item())


def test_label_smoothing_moves_the_real_target_alone():
    real, fake = scores(2.0, -1.0), scores(0.5, -3.0)
    entropy = nn.functional.binary_cross_entropy_with_logits
    expected = entropy(real, torch.full_like(real, 0.9)) + entropy(fake, torch.zeros_like(fake))
    assert losses.logistic_discriminator(real, fake, 0.1).item() == pytest.approx(expected.item())


def test_the_generator_learns_most_where_it_is_found_out():
    fake = scores(-8.0, 8.0).requires_grad_()
    losses.logistic_generator(fake).backward()
    assert fake.grad[0].item() == pytest.approx(-0.5, abs=1e-3)
    assert fake.grad[1].item() == pytest.approx(0.0, abs=1e-3)


def test_the_hinge_loss_asks_no_more_than_a_margin_of_one():
    assert losses.hinge_discriminator(scores(1.0, 5.0), scores(-1.0, -9.0)).item() == 0
    assert losses.hinge_discriminator(scores(0.0), scores(0.5)).item() == pytest.approx(1 + 1.5)
    assert losses.hinge_generator(scores(1.0, 3.0)).item() == -2


def test_the_critic_s_loss_is_minus_the_difference_of_means():
    assert losses.wasserstein_critic(scores(3.0, 5.0), scores(1.0, 2.0)).item() == pytest.approx(-2.5)


@pytest.mark.parametrize("length", [0.0, 1.0, 3.0])
def test_the_gradient_penalty_of_a_linear_critic_is_its_length_less_one_squared(length):
    direction = torch.randn(3 * 4 * 4)
    direction *= length / direction.norm()
    real, fake = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    penalty = losses.gradient_penalty(lambda x: x.flatten(1) @ direction, real, fake)
    assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_the_gradient_penalty_looks_between_the_pictures():
    """The slope of |x|^2 / 2 at x is x: between 0 and a picture of length 2 it is at most 2, evenly spread."""
    real, fake = torch.zeros(4000, 1, 1, 1), torch.full((4000, 1, 1, 1), 2.0)
    penalty = losses.gradient_penalty(lambda x: x.flatten(1).square().sum(1) / 2, real, fake)
    assert penalty.item() == pytest.approx(1 / 3, abs=0.03)


def test_r1_of_a_quadratic_is_half_its_mean_squared_slope():
    real = torch.randn(6, 1, 4, 4)
    penalty = losses.r1_penalty(lambda x: 3 * x.flatten(1).square().sum(1) / 2, real)
    assert penalty.item() == pytest.approx(9 * real.square().sum((1, 2, 3)).mean().item() / 2, rel=1e-5)


def test_the_penalties_can_be_descended_on():
    critic = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
    real, fake = torch.randn(6, 1, 4, 4), torch.randn(6, 1, 4, 4)
    for penalty in (losses.r1_penalty(critic, real), losses.gradient_penalty(critic, real, fake)):
        critic.zero_grad()
        penalty.backward()
        assert critic[1].weight.grad.abs().sum() > 0
        assert real.grad is None


def test_the_scores_figures_are_means_and_the_share_of_pairs_told_apart():
    figures = losses.score_figures(scores(1.0, 3.0), scores(0.0, 2.0))
    assert {name: value.item() for name, value in figures.items()} == {
        "real_score": 2.0,
        "fake_score": 1.0,
        "discriminator_accuracy": 0.75,
    }
    same = losses.score_figures(torch.zeros(3), torch.zeros(3))
    assert same["discriminator_accuracy"].item() == 0.5
