"""The parts that both translators share: patches, skips, noise, losses and the pool."""

# ruff: noqa: E402  # imports come after the skips

import math

import pytest

torch = pytest.importorskip("torch", reason="the darkroom needs torch")

from decoder.errors import RecipeError
from generators.errors import DataError, GeneratorError
from generators.model import Conditions
from generators.pictures import Batch
from generators.translation_checks import check_patches, check_width, given_pictures, halving_levels, wanted
from generators.translation_losses import discriminator_loss, l1_share, realness
from generators.translation_networks import UNet, patch_discriminator, receptive_field, residual_generator
from generators.translation_pool import ImagePool


@pytest.mark.parametrize(("layers", "field"), [(0, 7), (1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_of_the_size_that_is_told(layers, field):
    """By its gradient; 70 and 16 pixels are the paper's. Normalisation, which looks at all, is taken out."""
    torch.manual_seed(0)
    size = 2 * field + 32
    network = patch_discriminator(1, 8, layers).double()
    kept = torch.nn.Sequential(*(part for part in network if not isinstance(part, torch.nn.GroupNorm)))
    picture = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    logits = kept(picture)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    rows = (picture.grad[0, 0].abs().sum(1) > 0).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == field == receptive_field(layers)


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_there_is_one_logit_a_patch(layers):
    assert patch_discriminator(2, 8, layers)(torch.zeros(3, 2, 32, 32)).shape == (3, 1, *[(32 >> layers) - 2] * 2)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_a_u_net_gives_pictures_of_its_input_size_whatever_its_depth(levels):
    out = UNet(3, 1, 8, levels, 0.5)(torch.zeros(2, 3, 32, 32))
    assert out.shape == (2, 1, 32, 32) and float(out.detach().abs().max()) <= 1


def test_every_level_of_a_u_net_is_handed_across():
    """What the encoder gives at each size reaches the decoder at that size, beside what came from below."""
    torch.manual_seed(0)
    network = UNet(1, 1, 8, 3, 0.0)
    asked = {}
    for level, layer in enumerate(network.up):
        layer.register_forward_hook(lambda _, given, out, level=level: asked.update({level: (given[0], out)}))
    network(torch.randn(1, 1, 16, 16))
    assert [asked[level][0].shape[1:] for level in (2, 1, 0)] == [(32, 2, 2), (32, 4, 4), (16, 8, 8)]
    assert [asked[level][1].shape[1:] for level in (2, 1, 0)] == [(16, 4, 4), (8, 8, 8), (8, 16, 16)]
    picture = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        before = network(picture)
        for layer in network.up:
            layer.weight.zero_(), layer.bias.zero_()
        assert not torch.equal(network(picture), network(torch.randn(1, 1, 16, 16))), "the outermost skip still tells"
        assert not torch.equal(network(picture), before)


def test_the_noise_is_the_generators_and_can_be_left_out():
    torch.manual_seed(0)
    network, picture = UNet(1, 1, 8, 3, 0.5).eval(), torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        one, same, other = (network(picture, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, same) and not torch.equal(one, other)
        assert torch.equal(network(picture, noise=False), network(picture, noise=False))


@pytest.mark.parametrize("make", [lambda: UNet(1, 1, 8, 2, 0.0), lambda: residual_generator(1, 1, 8, 1)])
def test_a_translation_does_not_hang_on_its_neighbours_in_the_batch(make):
    torch.manual_seed(0)
    network, pictures = make(), torch.randn(4, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(network(pictures)[:1], network(pictures[:1]), atol=1e-5)


def test_an_undecided_discriminator_costs_log_two_and_a_quarter():
    logits = torch.zeros(4, 1, 3, 3)
    assert float(discriminator_loss(logits, logits, "logistic")) == pytest.approx(math.log(2))
    half = torch.full((4, 1, 3, 3), 0.5)
    assert float(discriminator_loss(half, half, "squares")) == pytest.approx(0.25)


def test_realness_is_cross_entropy_or_squares():
    logits = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    for real in (True, False):
        target = torch.full_like(logits, float(real))
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        assert float(realness(logits, real, "logistic")) == pytest.approx(float(entropy), rel=1e-5)
        assert float(realness(logits, real, "squares")) == pytest.approx(
            float(torch.nn.functional.mse_loss(logits, target)), rel=1e-5
        )


def test_black_against_white_is_a_distance_of_one():
    assert l1_share(torch.full((2, 1, 4, 4), -1.0), torch.ones(2, 1, 4, 4)) == 1


def pictures(first, count):
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1)


def test_a_pool_gives_back_what_is_new_while_it_fills():
    pool = ImagePool((1, 1, 1), 6)
    assert torch.equal(pool.swap(pictures(0, 4)), pictures(0, 4))
    assert int(pool.filled) == 4
    assert torch.equal(pool.swap(pictures(4, 2)), pictures(4, 2))
    assert torch.equal(pool.pictures, pictures(0, 6))


def test_a_full_pool_shows_old_pictures_half_of_the_time_of_every_age():
    torch.manual_seed(0)
    pool, size, rounds = ImagePool((1, 1, 1), 10), 10, 4000
    pool.swap(pictures(0, size))
    shown = torch.cat([pool.swap(pictures(size + i, 1)).flatten() for i in range(rounds)])
    newest = torch.arange(size, size + rounds).float()
    share = float((shown != newest).float().mean())
    assert share == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / rounds))
    # A picture stays until it is drawn, with chance 1/2 x 1/10 a round: 20 rounds in the mean.
    ages = (newest - shown)[shown != newest][200:]
    assert float(ages.mean()) == pytest.approx(20, abs=4 * 20 / math.sqrt(len(ages)))


def test_each_picture_leaves_the_pool_once_at_most():
    torch.manual_seed(1)
    pool = ImagePool((1, 1, 1), 5)
    shown = torch.cat([pool.swap(pictures(7 * i, 7)).flatten() for i in range(50)])
    left = torch.cat([shown, pool.pictures.flatten()])
    counts = left.unique(return_counts=True)[1]
    assert len(left.unique()) == 350 and int(counts.max()) == 2, "those that were kept while it filled were shown, too"
    assert int((counts == 2).sum()) <= 5 + 5


def test_a_pool_of_none_shows_the_newest_and_a_pool_is_saved_with_the_model():
    assert torch.equal(ImagePool((1, 1, 1), 0).swap(pictures(0, 3)), pictures(0, 3))
    pool, again = ImagePool((1, 1, 1), 4), ImagePool((1, 1, 1), 4)
    pool.swap(pictures(0, 3))
    again.load_state_dict(pool.state_dict())
    torch.manual_seed(2)
    first = pool.swap(pictures(9, 5))
    torch.manual_seed(2)
    assert torch.equal(first, again.swap(pictures(9, 5)))


def test_shapes_that_cannot_be_are_refused():
    assert [halving_levels(0, size, "s") for size in (4, 16, 32, 24)] == [1, 3, 4, 3]
    for levels, size in ((4, 16), (0, 15), (1, 2), (-1, 16)):
        with pytest.raises(RecipeError, match="halved"):
            halving_levels(levels, size, "s")
    check_patches(2, 16, "s")
    with pytest.raises(RecipeError, match="patch_layers"):
        check_patches(3, 16, "s")
    for width in (0, 12, 4):
        with pytest.raises(RecipeError, match="multiple of 8"):
            check_width(width, "s")


def test_what_is_missing_is_told():
    with pytest.raises(GeneratorError, match="2 translations are asked for, and 0"):
        given_pictures(Conditions(2))
    with pytest.raises(GeneratorError, match="and 1 pictures"):
        given_pictures(Conditions(2, images=torch.zeros(1, 1, 4, 4)))
    with pytest.raises(DataError, match="no targets"):
        wanted(Batch(torch.zeros(1, 1, 4, 4)))
