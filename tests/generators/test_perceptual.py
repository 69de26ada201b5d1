import pytest
import torch

from generators.perceptual import RandomFeatures, laplacian_pyramid, pyramid_distance


def pictures(seed=0, size=16):
    return torch.rand(4, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(params=["pyramid", "random"])
def distance(request):
    return pyramid_distance if request.param == "pyramid" else RandomFeatures(1).distance


def test_equal_pictures_have_no_distance_and_different_ones_have_a_positive_one(distance):
    assert distance(pictures(), pictures()) == 0
    assert distance(pictures(0), pictures(1)) > 0.1


def test_the_distance_has_gradients_that_lead_towards_the_picture(distance):
    made, real = pictures(0).requires_grad_(), pictures(1)
    before = distance(made, real)
    before.backward()
    assert made.grad.isfinite().all() and (made.grad != 0).float().mean() > 0.9
    with torch.no_grad():
        nearer = made - 0.01 * made.grad / made.grad.abs().max()
    assert distance(nearer, real) < before


def test_a_blurred_picture_is_further_away_than_one_that_is_shifted_in_brightness_by_as_much(distance):
    real = pictures()
    blurred = torch.nn.functional.avg_pool2d(real, 3, 1, 1)
    shifted = real + (blurred - real).abs().mean()
    assert distance(blurred, real) > distance(shifted, real)


def test_the_bands_of_a_pyramid_add_up_to_the_picture():
    *bands, rest = laplacian_pyramid(pictures())
    for band in reversed(bands):
        size = band.shape[-2:]
        rest = band + torch.nn.functional.interpolate(rest, size=size, mode="bilinear", align_corners=False)
    assert [band.shape[-1] for band in bands] == [16, 8, 4]
    assert torch.allclose(rest, pictures(), atol=1e-6)


def test_random_features_are_seeded_leave_the_global_generator_alone_and_are_neither_trained_nor_saved():
    state = torch.random.get_rng_state()
    one, other = RandomFeatures(1), RandomFeatures(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(one.distance(pictures(0), pictures(1)), other.distance(pictures(0), pictures(1)))
    assert RandomFeatures(1, seed=1).distance(pictures(0), pictures(1)) != one.distance(pictures(0), pictures(1))
    assert not list(one.parameters()) and not one.state_dict()
