"""Classifier-free guidance: its formula, its special cases, and how many labels are dropped."""

import pytest
import torch

from decoder.errors import RecipeError
from generators.guidance import drop_labels, guide, guided, guided_within


class Counted:
    """Predicts x + label, and counts the rows it was asked for."""

    def __init__(self):
        self.rows = 0

    def __call__(self, x, time, labels):
        self.rows += len(x)
        return x + labels.view(-1, 1, 1, 1)


X, LABELS, NONE = torch.zeros(3, 1, 2, 2), torch.tensor([1, 2, 3]), 10


def values(predict):
    return predict(X, torch.tensor(5))[:, 0, 0, 0].tolist()


def test_guided_is_without_plus_scale_times_the_difference():
    assert values(guided(Counted(), LABELS, NONE, 2.0)) == [10 + 2 * (y - 10) for y in (1, 2, 3)]
    assert guide(torch.tensor(1.0), torch.tensor(3.0), 2.5) == 6.0


def test_scale_1_is_the_conditional_model_and_0_the_unconditional_one_at_half_the_work():
    for scale, expected in ((1.0, [1, 2, 3]), (0.0, [10, 10, 10])):
        network = Counted()
        assert values(guided(network, LABELS, NONE, scale)) == expected
        assert network.rows == 3


def test_scale_near_1_is_continuous():
    assert values(guided(Counted(), LABELS, NONE, 1.0 + 1e-6)) == pytest.approx([1, 2, 3], abs=1e-4)


def test_guidance_holds_within_its_interval_only():
    predict = guided_within(Counted(), LABELS, NONE, 2.0, (0.2, 0.8), 100)
    at = {t: predict(X, torch.tensor(t))[0, 0, 0, 0].item() for t in (10, 50, 90)}
    assert at == {10: 1, 50: -8, 90: 1}


@pytest.mark.parametrize("interval", [(0.5,), (0.8, 0.2), (-0.1, 1), (0, 1.5)])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(RecipeError, match="guidance_interval"):
        guided_within(Counted(), LABELS, NONE, 2.0, interval, 100)


def test_the_share_of_labels_that_is_asked_for_is_dropped():
    labels = torch.arange(10).repeat(2000)
    found = drop_labels(labels, 0.1, 10)
    dropped = found == 10
    assert float(dropped.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert torch.equal(found[~dropped], labels[~dropped])
    assert torch.equal(drop_labels(labels, 0.0, 10), labels)
