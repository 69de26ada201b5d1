"""pix2pix and CycleGAN as families: losses by hand, saved exactly, and better than leaving pictures as they are."""

# ruff: noqa: E402  # imports come after the skips

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the darkroom needs torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")

from decoder.errors import RecipeError
from generators.cyclegan import CycleGan
from generators.data import load_pictures
from generators.errors import DataError, GeneratorError
from generators.families import family_class, family_config
from generators.model import Conditions, load_model
from generators.sections import DataSection
from generators.translation_losses import mean_absolute

TINY = {"pix2pix": {"width": 8}, "cyclegan": {"width": 8, "blocks": 1, "pool": 4}}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def outlined():
    return load_pictures(DataSection(targets="outline", max_images=400))


@pytest.fixture(scope="module")
def coloured():
    return load_pictures(DataSection(channels=3, targets="colour", pairing="unpaired", max_images=400))


def built(family, pictures, seed=0, **values):
    torch.manual_seed(seed)
    return family_class(family).build(family_config(family, {**TINY[family], **values}), pictures)


def step_all(model, pictures, steps, size=8):
    optimizers = {}
    for _ in range(steps):
        for phase in model.phases(0):
            weights = [p for part in phase.parts for p in getattr(model, part).parameters()]
            if phase.name not in optimizers:
                optimizers[phase.name] = torch.optim.Adam(weights, phase.learning_rate, phase.betas)
            index, other = torch.randint(len(pictures), (2, size))
            optimizers[phase.name].zero_grad()
            model.loss(phase.name, pictures.batch(index, other))["loss"].backward()
            optimizers[phase.name].step()
    return model.eval()


@pytest.fixture
def split_of(outlined, coloured):
    return {"pix2pix": outlined, "cyclegan": coloured}


@pytest.mark.parametrize("family", ["pix2pix", "cyclegan"])
def test_it_is_saved_and_loaded_bit_exactly_and_draws_by_the_generator_alone(family, split_of, tmp_path):
    split = split_of[family]
    model = step_all(built(family, split.train), split.train, 1)
    model.save(tmp_path)
    again = load_model(tmp_path)
    asked = Conditions(4, images=split.test.floats()[:4])
    first, second = (m.sample(asked, torch.Generator().manual_seed(3)) for m in (model, again))
    assert torch.equal(first, second) and first.shape == (4, split.train.targets.shape[1], 16, 16)
    assert not first.requires_grad
    few = split.test.subset(torch.arange(9))
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    assert model.evaluate(few, generators[0]) == again.evaluate(few, generators[1])


@pytest.mark.parametrize("family", ["pix2pix", "cyclegan"])
def test_each_phase_moves_its_own_parts_alone(family, split_of):
    train = split_of[family].train
    model = built(family, train)
    for phase in model.phases(0):
        model.zero_grad()
        model.loss(phase.name, train.batch(torch.arange(4), torch.arange(4)))["loss"].backward()
        for part in phase.parts:
            assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in getattr(model, part).parameters())
    judge = "discriminator" if family == "pix2pix" else "discriminators"
    maker = "generator" if family == "pix2pix" else "generators"
    model.zero_grad()
    model.loss(judge, train.batch(torch.arange(4), torch.arange(4)))["loss"].backward()
    assert all(p.grad is None for p in getattr(model, maker).parameters())


def test_pix2pixs_loss_is_the_discriminators_word_and_a_hundred_times_the_distance(outlined):
    model, batch = built("pix2pix", outlined.train, dropout=0.0), outlined.train.batch(torch.arange(6))
    found = {name: float(value.detach()) for name, value in model.loss("generator", batch).items()}
    with torch.no_grad():
        made = model.generator(batch.images)
        logits = model.discriminator(torch.cat([batch.images, made], 1))
    word = float(torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)))
    assert found["loss"] == pytest.approx(word + 100 * float((made - batch.targets).abs().mean()), rel=1e-5)


def test_the_noise_of_pix2pix_can_be_left_out(outlined):
    model = built("pix2pix", outlined.train).eval()
    asked = Conditions(2, images=outlined.test.floats()[:2])
    one, two = (model.sample(asked, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    still = [model.sample(asked, torch.Generator().manual_seed(seed), noise=False) for seed in (1, 2)]
    assert not torch.equal(one, two) and torch.equal(*still)


def test_pix2pix_learns_to_fill_outlines_better_than_leaving_them(outlined):
    model = step_all(built("pix2pix", outlined.train, learning_rate=3e-3), outlined.train, 30, 16)
    found = model.evaluate(outlined.test, torch.Generator().manual_seed(0))
    assert found["l1"] < 0.6 * found["l1_identity"]


class Negative(torch.nn.Module):
    def forward(self, x):
        return -x


def test_the_cycle_of_perfect_inverses_costs_nothing(coloured):
    model = built("cyclegan", coloured.train)
    model.generators["a_to_b"], model.generators["b_to_a"] = Negative(), Negative()
    found = model.loss("generators", coloured.train.batch(torch.arange(4), torch.arange(4)))
    assert float(found["cycle"]) == 0 and float(found["identity"]) > 0
    figures = model.evaluate(coloured.test, torch.Generator())
    assert figures["cycle_forward"] == figures["cycle_backward"] == 0
    assert figures["l1_forward"] > 0, "which says that a cycle of nothing is no translation"


def test_cyclegans_loss_is_its_parts_weighted(coloured):
    model = built("cyclegan", coloured.train, cycle_weight=7.0, identity_weight=3.0)
    a_and_b = coloured.train.batch(torch.arange(4), torch.arange(4, 8))
    found = {name: float(value.detach()) for name, value in model.loss("generators", a_and_b).items()}
    assert found["loss"] == pytest.approx(found["adversarial"] + 7 * found["cycle"] + 3 * found["identity"], rel=1e-5)
    a, b = a_and_b.images, a_and_b.targets
    with torch.no_grad():
        cycle = mean_absolute(model.to_a(model.to_b(a)), a) + mean_absolute(model.to_b(model.to_a(b)), b)
        fooled = (model.discriminators["b"](model.to_b(a)) - 1).square().mean()
        fooled += (model.discriminators["a"](model.to_a(b)) - 1).square().mean()
    assert found["cycle"] == pytest.approx(float(cycle), rel=1e-5)
    assert found["adversarial"] == pytest.approx(float(fooled), rel=1e-5)


def test_identity_generators_are_the_baseline_that_is_told(coloured):
    model = built("cyclegan", coloured.train)
    model.generators["a_to_b"], model.generators["b_to_a"] = torch.nn.Identity(), torch.nn.Identity()
    found = model.evaluate(coloured.test, torch.Generator())
    assert found["l1_forward"] == found["l1_backward"] == found["l1_identity"] > 0.05


def test_held_out_sets_without_pairs_have_no_distance_to_a_truth(coloured):
    unpaired = replace(coloured.test, targets=coloured.test.targets[:7], paired=False)
    found = built("cyclegan", coloured.train).eval().evaluate(unpaired, torch.Generator())
    assert set(found) == {"cycle_forward", "cycle_backward"}


def test_cyclegan_translates_both_ways(coloured):
    model = built("cyclegan", coloured.train).eval()
    images = coloured.test.floats()[:3]
    there = model.sample(Conditions(3, images=images), torch.Generator())
    back = model.sample(Conditions(3, images=there), torch.Generator(), direction="backward")
    with torch.no_grad():
        assert torch.equal(there, model.to_b(images)) and torch.equal(back, model.to_a(there))
    with pytest.raises(RecipeError, match="direction"):
        model.sample(Conditions(3, images=images), torch.Generator(), direction="sideways")


def test_cyclegan_learns_the_colours_without_pairs(coloured):
    model = step_all(built("cyclegan", coloured.train, learning_rate=3e-3), coloured.train, 25)
    found = model.evaluate(coloured.test, torch.Generator())
    assert found["l1_forward"] < 0.8 * found["l1_identity"]


def test_data_that_cannot_be_translated_is_refused(outlined, coloured):
    with pytest.raises(DataError, match="no target"):
        built("pix2pix", coloured.train)
    with pytest.raises(DataError, match="only one"):
        built("cyclegan", replace(outlined.train, targets=None))
    with pytest.raises(GeneratorError, match="pictures given"):
        built("pix2pix", outlined.train).sample(Conditions(1), torch.Generator())


@pytest.mark.parametrize(
    ("family", "values", "named"),
    [
        ("pix2pix", {"width": 12}, "width"),
        ("pix2pix", {"levels": 9}, "halved"),
        ("pix2pix", {"dropout": 1.0}, "dropout"),
        ("pix2pix", {"l1_weight": 0.0, "adversarial_weight": 0.0}, "l1_weight"),
        ("pix2pix", {"patch_layers": 4}, "patch_layers"),
        ("cyclegan", {"pool": -1}, "pool"),
        ("cyclegan", {"halvings": 0}, "halvings"),
    ],
)
def test_numbers_that_make_no_translator_are_refused(family, values, named, split_of):
    with pytest.raises(RecipeError, match=named):
        built(family, split_of[family].train, **values)


def test_without_a_discriminators_word_pix2pix_is_a_regression(outlined):
    model = built("pix2pix", outlined.train, adversarial_weight=0.0)
    assert [phase.name for phase in model.phases(0)] == ["generator"]
    assert set(model.loss("generator", outlined.train.batch(torch.arange(2)))) == {"loss", "l1"}


def test_the_pools_are_in_the_saved_state(coloured):
    model = step_all(built("cyclegan", coloured.train), coloured.train, 1)
    assert int(model.state_dict()["pool_b.filled"]) == 4
    assert isinstance(model, CycleGan)
