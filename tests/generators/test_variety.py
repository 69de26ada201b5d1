"""Manifolds, modes and memorisation on small sets whose answers are known."""

import pytest
import torch

from generators.manifold import Balls, Manifolds, covered
from generators.memorisation import nearest_distances, nearest_ratio
from generators.modes import Modes
from generators.resamples import Resamples, share

ONCE = Resamples.draw(4, 0, 0)


def line(*places):
    return torch.tensor([[float(place), 0.0] for place in places])


def test_a_ball_reaches_to_the_third_neighbour_and_a_wide_one_to_the_fifth():
    balls = Balls.around(line(0, 1, 2, 3, 4, 5, 6))
    assert balls.radii.tolist() == [3, 2, 2, 2, 2, 2, 3]
    assert balls.wide.tolist() == [5, 4, 3, 3, 3, 4, 5]


def test_precision_and_recall_of_samples_that_cover_half_of_the_pictures_and_stray():
    real = line(0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105)
    samples = line(0.5, 1.5, 2.5, 3.5, 4.5, 50)
    found = Manifolds.compare(samples, Balls.around(real))
    assert found.precise.tolist() == [True] * 5 + [False]
    reached = found.reaching[:5].any(0)
    assert reached.tolist() == [True] * 6 + [False] * 6  # by the five that do not stray
    assert float(covered(found.entering)) == 0.5


def test_density_counts_the_balls_and_is_about_one_for_equal_distributions():
    generator = torch.Generator().manual_seed(0)
    real, made = torch.randn(800, 3, generator=generator), torch.randn(400, 3, generator=generator)
    found = Manifolds.compare(made, Balls.around(real))
    assert float(found.density.mean()) == pytest.approx(1, abs=0.1)
    crowd = Manifolds.compare(torch.zeros(400, 3), Balls.around(real))
    assert float(covered(crowd.entering)) < 0.1


def test_a_resample_covers_what_its_own_samples_cover():
    pairs = torch.tensor([[True, False, False], [False, True, False]])
    weights = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    assert covered(pairs, weights).tolist() == pytest.approx([1 / 3, 2 / 3])
    assert float(covered(pairs)) == pytest.approx(2 / 3)


def test_a_class_is_covered_by_a_tenth_of_its_share_and_not_by_samples_of_which_the_judge_is_unsure():
    modes = Modes(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64))
    counts = torch.tensor([[97.0, 2.0, 2.0], [96.0, 3.0, 1.0]], dtype=torch.float64)  # needed: 5, 3 and 2
    assert modes.covered(counts, 100).tolist() == [2, 2]
    told, sure = modes.tell(torch.zeros(2, 1), torch.tensor([[0.9, 0.1, 0.0], [0.4, 0.35, 0.25]]))
    assert (told.tolist(), sure.tolist()) == ([0, 0], [True, False])


def test_the_divergence_of_one_mode_of_ten_is_log_ten_and_of_equal_shares_nothing():
    modes = Modes(torch.full((10,), 0.1, dtype=torch.float64))
    one, even = torch.zeros(1, 10, dtype=torch.float64), torch.ones(1, 10, dtype=torch.float64)
    one[0, 3] = 50
    assert float(modes.divergence(one)[0]) == pytest.approx(2.302585, abs=1e-6)
    assert float(modes.divergence(even)[0]) == 0


def test_without_labels_the_modes_are_groups_of_alike_pictures():
    class Blind:
        by_labels = False

    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]]).repeat_interleave(25, 0)
    features = corners + torch.randn(100, 2, generator=torch.Generator().manual_seed(0)) / 10
    modes = Modes.of(range(100), features, Blind())
    told, sure = modes.tell(features, torch.zeros(100, 4))
    assert modes.present == 10
    assert bool(sure.all())
    alike = [set(told[i : i + 25].tolist()) for i in range(0, 100, 25)]
    assert all(alike)
    assert sum(len(group) for group in alike) == len(set().union(*alike))  # no group spans two corners


def test_copies_are_at_no_distance_and_fresh_pictures_as_far_as_those_held_out():
    generator = torch.Generator().manual_seed(0)
    train, test, fresh = (torch.randn(n, 3, generator=generator) for n in (500, 200, 200))
    held_out, draws = nearest_distances(test, train), Resamples.draw(200, 100, 0)
    copies = nearest_ratio(nearest_distances(train[:200], train), held_out, draws)
    assert (copies.value, copies.high) == (pytest.approx(0, abs=1e-3), pytest.approx(0, abs=1e-3))
    found = nearest_ratio(nearest_distances(fresh, train), held_out, draws)
    assert found.low < 1 < found.high
    assert found.low < found.value < found.high


def test_all_of_few_is_not_as_sure_as_all_of_many():
    few, many = share(torch.ones(10, dtype=torch.bool)), share(torch.ones(1000, dtype=torch.bool))
    assert few.value == many.value == few.high == 1
    assert few.low == pytest.approx(0.722, abs=1e-3)
    assert many.low > 0.99


def test_an_interval_holds_its_figure_also_where_one_resample_in_many_differs():
    from generators.resamples import Resamples

    draws = Resamples.draw(50, 200, seed=0)
    rare = torch.zeros(200, dtype=torch.float64)
    rare[0] = -3
    found = draws.figure(7.0, lambda weights: 7 + rare, 0.0, 7.0)
    assert (found.low, found.value, found.high) == (7.0, 7.0, 7.0)
