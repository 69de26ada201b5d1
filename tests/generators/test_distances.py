"""Distances of two sets of features: closed forms, and what torchmetrics makes of the same features."""

import pytest
import torch
from torch import nn

from generators.errors import DataError
from generators.frechet import frechet_distance
from generators.kernel_distance import KernelBlocks, cubic_kernel, kernel_distance, standardised
from generators.resamples import Resamples


def gaussian(count, dimensions, seed):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exactly(count, mean, root, seed=0):
    """Points whose sample mean is `mean` and whose unbiased covariance is root @ root.T."""
    points = gaussian(count, len(mean), seed)
    points = points - points.mean(0)
    white = torch.linalg.inv(torch.linalg.cholesky(points.T @ points / (count - 1)))
    return points @ white.T @ root.T + mean


class Given(nn.Module):
    """A network that takes features for pictures."""

    num_features = 12

    def forward(self, features):
        return features


def test_the_frechet_distance_of_two_gaussians_is_the_closed_form():
    deviations = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    other = torch.tensor([3.0, 2.0, 0.0], dtype=torch.float64)
    first = exactly(60, torch.zeros(3, dtype=torch.float64), deviations.diag())
    second = exactly(90, torch.tensor([1.0, 0.0, -2.0], dtype=torch.float64), other.diag(), seed=1)
    # 1 + 4 from the means, and the squared differences of the deviations
    assert frechet_distance(first, second) == pytest.approx(5 + 4 + 0 + 0.25, abs=1e-9)


def test_covariances_that_do_not_commute_give_what_scipy_s_root_gives():
    from scipy.linalg import sqrtm

    first, second = gaussian(200, 6, 0) @ gaussian(6, 6, 1), gaussian(150, 6, 2) @ gaussian(6, 6, 3) + 1
    c1, c2 = first.T.cov(), second.T.cov()
    expected = (first.mean(0) - second.mean(0)).square().sum() + (c1 + c2).trace()
    expected -= 2 * sqrtm((c1 @ c2).numpy()).real.trace()
    assert frechet_distance(first, second) == pytest.approx(float(expected), rel=1e-9)


def test_constant_and_dependent_features_and_fewer_pictures_than_features_do_no_harm():
    points = gaussian(20, 5, 0)
    padded = torch.cat([points, points[:, :2], torch.ones(20, 60)], 1)
    assert frechet_distance(padded, padded) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(padded, padded + 1) == pytest.approx(67, rel=1e-9)


def test_fid_is_torchmetrics_s_with_the_same_features():
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, made = gaussian(300, 12, 0), gaussian(200, 12, 1) * 1.3 + 0.2
    theirs = FrechetInceptionDistance(feature=Given()).set_dtype(torch.float64)
    theirs.update(real, real=True)
    theirs.update(made, real=False)
    assert frechet_distance(made, real) == pytest.approx(float(theirs.compute()), rel=1e-6)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save all extracted features:UserWarning")
def test_kid_is_torchmetrics_s_with_the_same_features():
    from torchmetrics.image.kid import KernelInceptionDistance

    real, made = gaussian(120, 12, 0), gaussian(120, 12, 1) * 1.3 + 0.2
    theirs = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=120)
    theirs.update(real, real=True)
    theirs.update(made, real=False)
    mean, _ = theirs.compute()
    assert kernel_distance(made, real) == pytest.approx(float(mean), rel=1e-6)


def test_kid_of_equal_distributions_is_about_zero_and_as_often_below_it():
    found = [kernel_distance(gaussian(60, 4, seed), gaussian(80, 4, 1000 + seed)) for seed in range(60)]
    mean, error = torch.tensor(found).mean(), torch.tensor(found).std() / 60**0.5
    assert abs(mean) < 3 * error
    assert 15 < sum(value < 0 for value in found) < 45


def test_weights_of_one_give_the_definition_and_a_pair_of_the_same_picture_does_not_count():
    made, real = gaussian(9, 3, 0), gaussian(7, 3, 1)
    within, known = cubic_kernel(made, made), cubic_kernel(real, real)
    expected = (within.sum() - within.trace()) / 72 + (known.sum() - known.trace()) / 42
    expected -= 2 * cubic_kernel(made, real).mean()
    assert kernel_distance(made, real) == pytest.approx(float(expected))
    twice = torch.zeros(1, 9, dtype=torch.float64)
    twice[0, :2] = torch.tensor([8.0, 1.0])
    pair = within[0, 1] + (known.sum() - known.trace()) / 42
    pair -= 2 * (8 * cubic_kernel(made[:1], real).mean() + cubic_kernel(made[1:2], real).mean()) / 9
    assert float(KernelBlocks(made, real).distances(twice)[0]) == pytest.approx(float(pair))


def test_standardised_features_make_kid_blind_to_the_features_scale():
    made, real = gaussian(50, 4, 0) + 0.5, gaussian(60, 4, 1)
    small = kernel_distance(standardised(made, real), standardised(real, real))
    large = kernel_distance(standardised(1000 * made, 1000 * real), standardised(1000 * real, 1000 * real))
    assert small == pytest.approx(large, rel=1e-9)


def test_one_picture_and_values_that_are_no_numbers_are_refused_with_a_remedy():
    with pytest.raises(DataError, match="1 picture"):
        frechet_distance(gaussian(1, 3, 0), gaussian(5, 3, 0))
    with pytest.raises(DataError, match="no numbers"):
        kernel_distance(gaussian(5, 3, 0), gaussian(5, 3, 0).fill_(float("nan")))


def test_an_interval_lies_around_its_figure_although_resamples_are_farther_away():
    real, made = gaussian(2000, 16, 0), gaussian(60, 16, 1)
    value = frechet_distance(made, real)

    def distances(weights):
        return torch.tensor([frechet_distance(made.repeat_interleave(row.long(), 0), real) for row in weights])

    draws = Resamples.draw(60, 50, seed=0)
    assert (distances(draws.weights) > value).double().mean() > 0.9  # what a plain percentile interval would be of
    found = draws.figure(value, distances, 0.0, float("inf"))
    assert found.low < value < found.high
    assert found == Resamples.draw(60, 50, seed=0).figure(value, distances, 0.0, float("inf"))


def test_without_resamples_an_interval_is_the_figure():
    found = Resamples.draw(5, 0, seed=0).mean(torch.arange(5.0))
    assert (found.value, found.low, found.high) == (2, 2, 2)


def test_the_bootstrap_of_a_mean_has_the_width_of_its_standard_error():
    values = gaussian(400, 1, 0)[:, 0] + 10
    found = Resamples.draw(400, 1000, seed=0).mean(values)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * float(values.std()) / 20, rel=0.1)
