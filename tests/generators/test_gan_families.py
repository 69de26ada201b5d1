"""DCGAN, WGAN-GP, BigGAN and StyleGAN: what is true of all, then what is each one's own."""

import importlib.util
from pathlib import Path

import pytest
import torch

from decoder.errors import RecipeError
from generators.errors import DataError
from generators.gan_model import halvings
from generators.model import Conditions, load_model
from generators.recipe import load_recipe

SPEC = importlib.util.spec_from_file_location("gan_support", Path(__file__).with_name("gan_support.py"))
support = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(support)
FAMILIES, pictures, small, train = support.FAMILIES, support.pictures, support.small, support.train


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# All


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 3), (28, 1)])
def test_pictures_of_many_sizes_are_made_and_judged(family, size, channels):
    data = pictures(size, channels, 6)
    model = small(family, data)
    batch = data.batch(torch.arange(6))
    for phase in model.phases(0.0):
        assert torch.isfinite(model(phase.name, batch)["loss"])
    made = model.eval().sample(Conditions(3), seeded())
    assert made.shape == (3, channels, size, size)
    assert made.abs().max() <= 1


@pytest.mark.parametrize("size", [4, 6, 15, 30, 34])
def test_a_size_that_cannot_be_halved_is_refused_by_name(size):
    with pytest.raises(RecipeError, match=rf"data\.size is {size}"):
        small("dcgan", pictures(size))


def test_sizes_are_halved_to_a_side_of_4_to_7():
    assert {size: halvings(size) for size in (8, 16, 28, 32, 48, 64, 96, 128)} == {
        8: 1, 16: 2, 28: 2, 32: 3, 48: 3, 64: 4, 96: 4, 128: 5
    }  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_each_phase_changes_its_own_part_alone_and_20_steps_stay_finite(family):
    data, model = pictures(), small(family)
    discriminator, generator = model.phases(0.0)
    assert (discriminator.parts, generator.parts) == (("discriminator",), ("generator",))
    for phase, other in ((discriminator, "generator"), (generator, "discriminator")):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        train(model, data, 1, only=phase.name)
        changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert any(name.startswith(phase.name) for name in changed)
        assert not any(name.startswith(other) for name in changed)
    figures = train(model, data, 20)
    assert all(value == value and abs(value) < 1e4 for step in figures for f in step.values() for value in f.values())
    assert {"real_score", "fake_score", "discriminator_accuracy"} <= set(figures[-1]["discriminator"])
    assert 0 <= figures[-1]["discriminator"]["discriminator_accuracy"] <= 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_discriminator_learns_to_tell_pictures_from_those_of_a_generator_that_stands_still(family):
    data = pictures()
    model = small(family, data, generator_learning_rate=0.0, discriminator_learning_rate=5e-3)
    figures = [step["discriminator"] for step in train(model, data, 20)]
    assert figures[-1]["discriminator_accuracy"] > 0.95
    assert figures[-1]["real_score"] > figures[-1]["fake_score"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_model_draws_the_same_pictures_bit_by_bit(family, tmp_path):
    model = small(family)
    train(model, pictures(), 2)
    model.eval().save(tmp_path)
    before = model.sample(Conditions(5), seeded(3))
    loaded = load_model(tmp_path)
    assert torch.equal(before, loaded.sample(Conditions(5), seeded(3)))
    assert torch.equal(before, model.sample(Conditions(5), seeded(3)))
    assert not torch.equal(before, model.sample(Conditions(5), seeded(4)))
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_latents_decode_to_pictures_that_follow_them_without_a_jump(family):
    model = small(family).eval()
    start, end = model.latent(2, seeded())
    steps = torch.linspace(0, 1, 50)[:, None]
    with torch.no_grad():
        path = model.decode(start.lerp(end, steps), torch.zeros(50, dtype=torch.long))
        again = model.decode(start.lerp(end, steps), torch.zeros(50, dtype=torch.long))
    assert torch.equal(path, again)
    moves = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    whole = (path[-1] - path[0]).norm()
    assert 0 < moves.max() < whole / 2


@pytest.mark.parametrize("family", ["dcgan", "wgan_gp", "biggan"])
def test_truncated_latents_lie_within_and_make_less_varied_pictures(family):
    model = small(family).eval()
    assert model.latent(500, seeded(), 0.5).abs().max() <= 0.5
    assert model.latent(500, seeded()).abs().max() > 2
    labels = torch.zeros(60, dtype=torch.long)
    spread = [
        model.sample(Conditions(60, labels), seeded(), truncation=truncation).std(0).mean()
        for truncation in (0.0, 1.0, 0.2)
    ]
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.parametrize(
    ("family", "option", "cause"),
    [
        ("dcgan", {"truncaton": 1.0}, "Did you mean truncation"),
        ("dcgan", {"truncation": -1}, r"sampling\.truncation"),
        ("stylegan", {"truncation_psi": "half"}, r"sampling\.truncation_psi"),
        ("biggan", {"truncation": True}, r"sampling\.truncation"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(family, option, cause):
    with pytest.raises(RecipeError, match=cause):
        small(family).eval().sample(Conditions(2), seeded(), **option)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unknown_augmentation_is_refused_when_the_model_is_built(family):
    with pytest.raises(RecipeError, match=r"model\.diffaug"):
        small(family, diffaug=("shear",))


@pytest.mark.parametrize(
    "name", ["dcgan-digits", "wgan_gp-digits", "biggan-digits", "stylegan-digits", "dcgan-collapse", "dcgan-folder"]
)
def test_the_recipes_that_ship_are_of_known_keys(name):
    recipe = load_recipe(name)
    data = pictures(recipe.data.size, recipe.data.channels, 4)
    built = small(recipe.family, data, **recipe.model)
    assert built.config.generator_learning_rate > 0
    assert recipe.training.budget_seconds or recipe.training.max_steps


# DCGAN


def test_spectral_norm_bounds_every_layer_of_the_discriminator():
    model = small("dcgan", spectral_norm=True, discriminator_norm=False)
    train(model, pictures(), 15)
    layers = [m for m in model.discriminator.modules() if hasattr(m, "parametrizations")]
    assert len(layers) == 3
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.1)


def test_r1_is_a_figure_of_its_own_and_part_of_the_loss():
    batch = pictures().batch(torch.arange(8))
    found = []
    for weight in (0.0, 10.0):
        model = small("dcgan", r1=weight, discriminator_norm=False)
        torch.manual_seed(5)
        found.append(model("discriminator", batch))
    without, penalised = found
    assert "r1" not in without
    assert penalised["loss"].item() == pytest.approx(without["loss"].item() + 10 * penalised["r1"].item(), rel=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_by_matrix_products_are_those_of_torch(channels):
    from torch.nn.functional import conv2d, conv_transpose2d

    from generators.gan_blocks import PatchConv, PatchConvTranspose

    down, up = PatchConv(channels, 5), PatchConvTranspose(5, channels)
    torch.nn.init.normal_(up.shift)
    x = torch.randn(2, channels, 8, 8)
    features = conv2d(x, down.weight.view(5, channels, 4, 4), down.bias, 2, 1)
    assert torch.allclose(down(x), features, atol=1e-5)
    kernel = up.weight.T.reshape(5, channels, 4, 4)
    assert torch.allclose(up(features), conv_transpose2d(features, kernel, up.shift.flatten(), 2, 1), atol=1e-5)


@pytest.mark.parametrize("family", ["dcgan", "wgan_gp"])
def test_a_hidden_layer_comes_between_the_features_and_the_score(family):
    layers = list(small(family, discriminator_hidden=7).discriminator.layers)
    assert [(m.in_features, m.out_features) for m in layers if type(m) is torch.nn.Linear] == [(8 * 16, 7), (7, 1)]
    with pytest.raises(RecipeError, match=r"model\.discriminator_hidden is -1"):
        small(family, discriminator_hidden=-1)


@pytest.mark.parametrize("family", ["dcgan", "wgan_gp"])
def test_scores_differ_at_first_by_weights_of_he_and_hardly_by_those_of_radford_where_there_is_no_norm(family):
    none = {"discriminator_norm": False} if family == "dcgan" else {}
    images = torch.randn(64, 1, 16, 16)
    he, normal = (
        small(family, width=16, discriminator_hidden=64, discriminator_initial=initial, **none).discriminator(images)
        for initial in ("he", "normal")
    )
    assert 0.3 < he.std() < 3
    assert normal.std() < 0.01


# WGAN-GP


def test_the_critic_is_updated_as_often_as_told():
    assert [phase.repeats for phase in small("wgan_gp", discriminator_steps=3).phases(0.0)] == [3, 1]
    assert small("wgan_gp").phases(0.0)[0].repeats == 5


def test_the_penalty_holds_the_critic_s_slope_near_one():
    data = pictures()
    model = small("wgan_gp", generator_learning_rate=0.0, discriminator_learning_rate=4e-3, discriminator_steps=5)
    penalties = [step["discriminator"]["gradient_penalty"] for step in train(model, data, 15)]
    assert penalties[0] > 0.9
    assert penalties[-1] < 0.1


# BigGAN


def test_biggan_needs_labels():
    data = pictures()
    unlabelled = type(data)(data.images)
    with pytest.raises(DataError, match="labels"):
        small("biggan", unlabelled)


def test_the_projection_adds_the_class_s_own_product_to_the_score():
    discriminator = small("biggan", spectral_norm=False).discriminator
    images = torch.randn(2, 1, 16, 16).expand(2, -1, -1, -1)
    labels = torch.tensor([0, 2])
    seen = discriminator.trunk(images)
    whole = discriminator.score(seen)[:, 0]
    inner = torch.stack([seen[0] @ discriminator.classes.weight[0], seen[1] @ discriminator.classes.weight[2]])
    assert torch.allclose(discriminator(images, labels), whole + inner, atol=1e-6)
    assert not torch.allclose(discriminator(images, labels), discriminator(images, labels.flip(0)))


def test_class_conditional_norm_differs_by_class_and_by_nothing_else():
    model = small("biggan").eval()
    z = model.latent(1, seeded()).expand(3, -1)
    with torch.no_grad():
        same, other, again = model.decode(z, torch.tensor([1, 2, 1]))
    assert torch.allclose(same, again, atol=1e-6)
    assert (same - other).abs().max() > 1e-3


def test_conditional_norm_starts_as_a_plain_one_scaled_by_its_condition():
    from generators.gan_conditional import ConditionalBatchNorm

    norm = ConditionalBatchNorm(5, 3)
    x = 4 + 3 * torch.randn(64, 5, 4, 4)
    plain = norm(x, torch.zeros(64, 3))
    assert torch.allclose(plain.mean((0, 2, 3)), torch.zeros(5), atol=1e-5)
    assert torch.allclose(plain.var((0, 2, 3), unbiased=False), torch.ones(5), atol=1e-3)
    condition = torch.randn(64, 3)
    gain, bias = norm.gain(condition)[:, :, None, None], norm.bias(condition)[:, :, None, None]
    assert torch.allclose(norm(x, condition), plain * (1 + gain) + bias, atol=1e-5)


def test_labels_are_taken_in_turn_where_none_are_asked_for():
    model = small("biggan").eval()
    wanted = model.sample(Conditions(4, torch.tensor([0, 1, 2, 0])), seeded())
    assert torch.equal(model.sample(Conditions(4), seeded()), wanted)


# StyleGAN


def test_demodulated_weights_have_unit_length():
    from generators.gan_style import demodulation

    weight, style = torch.randn(6, 5, 3, 3), torch.randn(4, 5)
    modulated = weight[None] * style[:, None, :, None, None]
    lengths = (modulated * demodulation(weight, style)[:, :, None, None, None]).flatten(2).norm(dim=2)
    assert torch.allclose(lengths, torch.ones(4, 6), atol=1e-5)


@pytest.mark.parametrize("up", [False, True])
def test_a_styled_convolution_is_one_of_each_picture_s_own_weights(up):
    from generators.gan_style import StyledConv, demodulation

    layer = StyledConv(5, 6, 3, up)
    x, w = torch.randn(2, 5, 4, 4), torch.randn(2, 3)
    made = layer(x, w, seeded())
    style = layer.style(w)
    for i in range(2):
        own = (
            layer.weight
            * style[i, None, :, None, None]
            * demodulation(layer.weight, style)[i, :, None, None, None]
            * (2.0 if up else 1.0)
        )
        one = x[i : i + 1]
        if up:
            plain = torch.nn.functional.conv_transpose2d(one, own.transpose(0, 1), None, 2, 1)
        else:
            plain = torch.nn.functional.conv2d(one, own, None, 1, 1)
        assert torch.allclose(made[i], torch.nn.functional.leaky_relu(plain[0], 0.2) * 2**0.5, atol=1e-5)


def test_styles_cross_over_where_told():
    from generators.gan_style import mix

    first, second = torch.zeros(3, 2), torch.ones(3, 2)
    mixed = mix(first, second, torch.tensor([1, 2, 4]), 4)
    assert mixed[:, :, 0].tolist() == [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]


def test_only_the_told_share_of_styles_is_mixed():
    for share in (0.0, 1.0):
        styles = small("stylegan", style_mixing=share).mixed_styles(20)
        differ = (styles[:, 0] - styles[:, -1]).abs().sum(1) > 0
        assert differ.float().mean().item() == share


def test_a_late_layer_s_style_leaves_the_coarse_picture_as_it_was():
    model = small("stylegan").eval()
    styles = model.styles(model.latent(2, seeded()))
    crossed = torch.cat([styles[:1, :2], styles[1:, 2:]], 1)
    coarse = [layer(model.generator.constant, w[:, 0], seeded()) for layer, w in
              ((model.generator.convolutions[0], styles[:1]), (model.generator.convolutions[0], crossed))]  # fmt: skip
    assert torch.equal(*coarse)
    assert not torch.equal(model.synthesise(styles[:1], seeded()), model.synthesise(crossed, seeded()))


def test_path_lengths_of_a_linear_synthesis_are_those_of_its_matrix():
    """|J^T y| for a J that multiplies by 3 and a y of unit length a side is about 3, whatever the style."""
    from generators.gan_style import path_lengths

    styles = torch.randn(500, 1, 256, requires_grad=True)
    lengths = path_lengths((3 * styles).view(500, 1, 16, 16), styles)
    assert lengths.mean().item() == pytest.approx(3, rel=0.02)


def test_path_length_regularisation_moves_its_mean_and_the_weights():
    model = small("stylegan", path_every=1)
    figures = train(model, pictures(), 5)
    assert model.path_mean > 0
    lengths = [step["generator"]["path_length"] for step in figures]
    assert lengths == sorted(lengths)
    model.zero_grad()
    model.path_penalty(4).backward()
    assert model.generator.convolutions[0].weight.grad.abs().sum() > 0


def test_lazy_penalties_are_due_every_so_many_steps_also_after_a_reload(tmp_path):
    model = small("stylegan", r1_every=3, path_every=2)
    figures = train(model, pictures(), 4)
    assert ["r1" in step["discriminator"] for step in figures] == [True, False, False, True]
    assert ["path_penalty" in step["generator"] for step in figures] == [True, False, True, False]
    model.save(tmp_path)
    more = train(load_model(tmp_path).train(), pictures(), 3)
    assert ["r1" in step["discriminator"] for step in more] == [False, False, True]


def test_truncated_styles_make_less_varied_pictures_and_0_makes_one():
    model = small("stylegan").eval()
    spread = [
        model.sample(Conditions(40), seeded(), truncation_psi=psi).std(0).mean().item() for psi in (1.0, 0.5, 0.0)
    ]
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 1e-6
    assert torch.equal(
        model.sample(Conditions(3), seeded(), truncation_psi=1), model.sample(Conditions(3), seeded())
    )  # fmt: skip


def test_the_spread_of_a_batch_is_0_where_all_its_pictures_are_alike():
    from generators.gan_residual import spread

    x = torch.randn(1, 4, 3, 3)
    assert spread(x.expand(6, -1, -1, -1)).item() == pytest.approx(1e-4, rel=1e-2)
    assert spread(torch.stack([x[0], x[0] + 2])).item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("key", "value"),
    [("latent", 0), ("width", 1), ("generator_learning_rate", -1e-3), ("betas", (0.5,)), ("betas", (0.5, 1.0))],
)
def test_numbers_that_no_gan_can_be_trained_with_are_refused_by_name(key, value):
    with pytest.raises(RecipeError, match=rf"model\.{key} is"):
        small("dcgan", **{key: value})


@pytest.mark.parametrize("up", [False, True])
def test_a_styled_convolution_keeps_the_variance_of_its_features(up):
    from generators.gan_style import StyledConv

    torch.manual_seed(0)
    layer = StyledConv(64, 64, 8, up)
    layer.style.weight.data.zero_()
    out = layer(torch.randn(16, 64, 12, 12), torch.randn(16, 8), torch.Generator().manual_seed(0))
    before = torch.where(out > 0, out, out / 0.2) / 2**0.5  # leaky ReLU and its gain undone
    inner = before[:, :, 2:-2, 2:-2]  # at the rim, taps fall outside
    assert inner.std().item() == pytest.approx(1, abs=0.05)


def test_r1_with_batch_norm_is_refused_since_no_gradient_there_is_of_one_picture():
    with pytest.raises(RecipeError, match=r"model\.r1 wants each picture's own gradient"):
        small("dcgan", r1=0.5)
