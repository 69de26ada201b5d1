"""What generators and discriminators descend on, and the penalties that keep discriminators smooth.

Scores are a discriminator's raw outputs, [n]: logits in the logistic loss, without a scale in the others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


def logistic_discriminator(real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), in nats, with D the logistic function of the score.

    Source: Goodfellow et al. 2014, Generative Adversarial Nets, equation 1. `smoothing` lowers the real pictures'
    target from 1 (one-sided label smoothing: Salimans et al. 2016, section 3.4).
    """
    target = 1 - smoothing
    return (target * softplus(-real) + (1 - target) * softplus(real)).mean() + softplus(fake).mean()


def logistic_generator(fake: Tensor) -> Tensor:
    """The non-saturating loss -E log D(G(z)), in nats. Source: Goodfellow et al. 2014, end of section 3."""
    return softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))). Source: Miyato et al. 2018, Spectral Normalization, equation 16."""
    return relu(1 - real).mean() + relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-E D(G(z)). Source: Miyato et al. 2018, equation 17."""
    return -fake.mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): minus the estimated distance. Source: Arjovsky et al. 2017, Wasserstein GAN, equation 2."""
    return fake.mean() - real.mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the mean squared length of the gradient at real pictures, E |grad D(x)|^2 / 2.

    Source: Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, equation 9, without gamma.
    """
    squares: Tensor = input_gradient(discriminator, real).square().sum(1)
    return squares.mean() / 2


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E (|grad D(x')| - 1)^2 at points x' drawn evenly from the lines between real and made pictures.

    Source: Gulrajani et al. 2017, Improved Training of Wasserstein GANs, equation 3, without lambda.
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    lengths: Tensor = input_gradient(critic, real.lerp(fake.to(real.dtype), share)).norm(dim=1)
    return (lengths - 1).square().mean()


def input_gradient(scorer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """[n, pixels]: the gradient of each score by its own picture, itself differentiable by the weights."""
    points = images.detach().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(scorer(points).sum(), points, create_graph=True)
    return gradient.flatten(1)


def score_figures(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """What an alarm for collapse watches: `real_score` and `fake_score` (means) and `discriminator_accuracy`.

    The accuracy is the share of pairs in which the real picture is scored above the made one (ties count half), so
    that it needs no threshold: 0.5 is a discriminator that knows nothing, 1 one that has won.
    """
    apart = (real.detach()[:, None] - fake.detach()[None]).sign()
    return {
        "real_score": real.detach().mean(),
        "fake_score": fake.detach().mean(),
        "discriminator_accuracy": (apart.mean() + 1) / 2,
    }
