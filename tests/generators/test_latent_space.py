"""Ways between codes: closed forms, what holds for any codes, and pictures of real models."""

# ruff: noqa: E402  # imports come after the skips

import math

import pytest

torch = pytest.importorskip("torch", reason="the darkroom needs torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import RecipeError
from generators.errors import GeneratorError
from generators.families import family_config
from generators.latent_space import arithmetic, interpolate, latent_of, path, slerp, traverse
from generators.model import DataShape, GenerativeModel
from generators.vae import Vae

VECTOR = st.lists(st.floats(-5, 5), min_size=4, max_size=4).map(lambda v: torch.tensor(v, dtype=torch.float64))
SHARE = st.floats(0, 1)


def share(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def vae(**values):
    torch.manual_seed(0)
    names = tuple("abc") if values.get("conditional") else ()
    return Vae(family_config("vae", {"latent": 4, "hidden": 16, **values}), DataShape(1, 8, names)).eval()


def test_the_arc_between_two_right_angled_unit_codes_is_the_circle():
    a, b = torch.tensor([1.0, 0, 0], dtype=torch.float64), torch.tensor([0, 1.0, 0], dtype=torch.float64)
    for t in (0.0, 0.25, 1 / 3, 0.5, 1.0):
        angle = t * math.pi / 2
        expected = torch.tensor([[math.cos(angle), math.sin(angle), 0]], dtype=torch.float64)
        assert torch.allclose(slerp(a, b, share(t)), expected)


@given(VECTOR, VECTOR)
def test_both_ways_begin_and_end_at_the_codes_and_run_back_alike(a, b):
    for way in ("linear", "spherical"):
        there, back = path(a, b, 5, way), path(b, a, 5, way)
        assert torch.allclose(there[0], a, atol=1e-6) and torch.allclose(there[-1], b, atol=1e-6)
        assert torch.allclose(there.flip(0), back, atol=1e-6)


@given(VECTOR, VECTOR, SHARE)
def test_the_arc_keeps_the_length_of_codes_of_one_length_at_a_steady_pace(a, b, t):
    if min(a.norm(), b.norm()) < 0.1:
        return
    a, b = a / a.norm(), b / b.norm()
    angle = math.acos(max(-1.0, min(1.0, float(a @ b))))
    if not 0.01 < angle < 3.13:
        return
    point = slerp(a, b, share(t))[0]
    assert float(point.norm()) == pytest.approx(1, abs=1e-6)
    assert math.acos(max(-1.0, min(1.0, float(a @ point)))) == pytest.approx(t * angle, abs=1e-4)


@given(VECTOR, SHARE)
def test_parallel_opposite_and_zero_codes_take_the_straight_line(a, t):
    for b in (a * 2, -a, torch.zeros_like(a)):
        point = slerp(a, b, share(t))
        assert torch.isfinite(point).all()
        assert torch.allclose(point, torch.lerp(a, b, share(t)), atol=1e-3)


def test_between_draws_of_the_prior_the_arc_keeps_the_length_that_the_line_loses():
    """In 64 dimensions the middle of the line is about 1/sqrt(2) as long (White 2016)."""
    a, b = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    a, b = a / a.norm() * 8, b / b.norm() * 8
    line, arc = (float(path(a, b, 3, way)[1].norm()) for way in ("linear", "spherical"))
    assert arc == pytest.approx(8, abs=1e-3) and line < 6.5


@pytest.mark.parametrize("way", ["linear", "spherical"])
def test_the_pictures_of_a_way_are_the_decoded_codes(way):
    model = vae()
    a, b = latent_of(model, 1), latent_of(model, 2)
    pictures = interpolate(model, a, b, 5, way)
    with torch.no_grad():
        assert torch.allclose(pictures, model.decode(path(a, b, 5, way)))
    assert pictures.shape == (5, 1, 8, 8)


def test_traversal_moves_one_number_a_row():
    model = vae()
    code = latent_of(model, 3)
    pictures = traverse(model, code, reach=2.0, steps=3, dimensions=[1, 3])
    expected = code.repeat(6, 1)
    expected[:3, 1] = expected[3:, 3] = torch.tensor([-2.0, 0.0, 2.0])
    with torch.no_grad():
        assert torch.allclose(pictures, model.decode(expected))
    assert len(traverse(model, code, steps=3)) == 12, "all four numbers"
    with pytest.raises(GeneratorError, match="no number 4"):
        traverse(model, code, dimensions=[4])


def test_arithmetic_decodes_a_less_b_and_c():
    model = vae()
    a, b, c = (latent_of(model, seed) for seed in range(3))
    with torch.no_grad():
        assert torch.allclose(arithmetic(model, a, b, c), model.decode(torch.stack([a, b, c, a - b + c])))
        several = torch.stack([a + 1, a - 1])
        assert torch.allclose(arithmetic(model, several, b, c), arithmetic(model, a, b, c), atol=1e-6)
    assert torch.allclose(arithmetic(model, a, a, c)[3], arithmetic(model, a, b, c)[2], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_a_seed_names_one_code(seed):
    model = vae()
    assert torch.equal(latent_of(model, seed), latent_of(model, seed))
    assert latent_of(model, seed).shape == (4,)


def test_a_pictures_code_is_its_posteriors_mean():
    model = vae()
    picture = torch.rand(1, 8, 8) * 2 - 1
    with torch.no_grad():
        assert torch.equal(latent_of(model, picture), model.encode(picture[None])[0])


def test_one_label_holds_for_the_whole_way_and_the_first_class_is_the_default():
    model = vae(conditional=True)
    a, b = latent_of(model, 1), latent_of(model, 2)
    first = interpolate(model, a, b, 3)
    assert torch.equal(first, interpolate(model, a, b, 3, labels=torch.tensor(0)))
    assert not torch.equal(first, interpolate(model, a, b, 3, labels=torch.tensor(2)))
    assert torch.equal(
        interpolate(model, a, b, 3, labels=torch.tensor([0, 1, 2]))[2],
        interpolate(model, a, b, 3, labels=torch.tensor(2))[2],
    )


def test_what_has_no_way_is_refused():
    model = vae()
    a = latent_of(model, 1)
    with pytest.raises(RecipeError, match="spherical"):
        interpolate(model, a, a, 3, way="sperical")
    with pytest.raises(GeneratorError, match="two or more"):
        interpolate(model, a, a, 1)
    with pytest.raises(GeneratorError, match="shape"):
        interpolate(model, a, torch.zeros(5), 3)
    with pytest.raises(GeneratorError, match="flat codes"):
        latent_of(GenerativeModel(None, DataShape(1, 8)), 1)
