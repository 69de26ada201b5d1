"""Differentiable augmentation: changes what the discriminator sees, keeps shapes, lets gradients through."""

import pytest
import torch

from decoder.errors import RecipeError
from generators.gan_augment import POLICIES, augment, check_policies


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shape", [(6, 1, 16, 16), (6, 3, 32, 32)])
def test_a_policy_keeps_the_shape_changes_pictures_and_lets_gradients_through(policy, shape):
    torch.manual_seed(0)
    images = torch.randn(shape, requires_grad=True)
    changed = augment(images, [policy])
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    changed.square().sum().backward()
    assert torch.isfinite(images.grad).all()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()


def test_gradients_are_those_of_finite_differences():
    images = torch.randn(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)

    def always_the_same(x):
        torch.manual_seed(3)
        return augment(x, tuple(POLICIES))

    assert torch.autograd.gradcheck(always_the_same, (images,))


def test_a_translation_moves_every_picture_by_its_own_whole_pixels():
    torch.manual_seed(0)
    images = torch.zeros(200, 1, 16, 16)
    images[:, :, 8, 8] = 1
    moved = augment(images, ["translation"])
    places = {tuple(place[2:].tolist()) for place in moved.nonzero()}
    assert places == {(8 + down, 8 + across) for down in range(-2, 3) for across in range(-2, 3)}
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(200))


def test_a_nudge_moves_by_a_sixteenth_of_the_side_and_repeats_the_edge():
    torch.manual_seed(0)
    images = torch.full((200, 1, 16, 16), -1.0)
    images[:, :, 8, 8] = 1
    moved = augment(images, ["nudge"])
    places = {tuple(place[2:].tolist()) for place in (moved == 1).nonzero()}
    assert places == {(8 + down, 8 + across) for down in (-1, 0, 1) for across in (-1, 0, 1)}
    assert set(moved.unique().tolist()) == {-1.0, 1.0}


def test_cutout_leaves_a_square_of_zeros_and_all_else_as_it_was():
    torch.manual_seed(0)
    cut = augment(torch.ones(200, 1, 16, 16), ["cutout"])
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    holes = (1 - cut).sum((1, 2, 3))
    assert holes.max() == 64
    assert holes.min() >= 16


def test_colour_keeps_a_grey_picture_grey():
    grey = torch.randn(4, 1, 8, 8).expand(-1, 3, -1, -1)
    changed = augment(grey, ["colour"])
    assert torch.allclose(changed, changed[:, :1].expand_as(changed), atol=1e-6)


def test_without_policies_pictures_stay_as_they_are_and_an_unknown_one_is_refused():
    images = torch.randn(2, 1, 8, 8)
    assert augment(images, ()) is images
    with pytest.raises(RecipeError, match=r"model\.diffaug is 'color'.*colour"):
        check_policies(["color"])
