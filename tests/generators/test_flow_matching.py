"""Flow matching: straight paths and their velocity in closed form, and drawings that follow it."""

import pytest
import torch

from decoder.errors import RecipeError
from generators.diffusion_network import UNetConfig
from generators.errors import SchedulerError
from generators.flow_matching import FlowMatching, FlowMatchingConfig, path, velocity
from generators.model import Conditions, DataShape, load_model
from generators.pictures import Batch

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers


def tiny(**keys):
    torch.manual_seed(0)
    unet = UNetConfig(channels=(8, 8), groups=4, patch=2)
    return FlowMatching(FlowMatchingConfig(unet=unet, **keys), DataShape(1, 8, ("a", "b", "c"))).eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Straight(torch.nn.Module):
    """The velocity of the Gaussian flow to N(mean, spread^2), in closed form."""

    no_label, mean, spread = 3, 0.2, 0.3

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, times, labels=None):
        s = (times / 1000).view(-1, 1, 1, 1)
        gain = ((1 - s) * self.spread**2) / ((1 - s) ** 2 * self.spread**2 + s**2)
        clean = self.mean + gain * (x - (1 - s) * self.mean)
        return (x - clean) / s


def test_the_path_runs_straight_from_picture_to_noise():
    clean, noise = torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2)
    s = torch.rand(4, 1, 1, 1, requires_grad=True)
    assert torch.equal(path(clean, noise, torch.zeros(4, 1, 1, 1)), clean)
    assert torch.equal(path(clean, noise, torch.ones(4, 1, 1, 1)), noise)
    _, slope = torch.autograd.functional.jvp(lambda at: path(clean, noise, at), s, torch.ones_like(s))
    assert torch.allclose(slope, velocity(clean, noise), atol=1e-6)


@pytest.mark.parametrize("scheduler", ["flow_euler", "flow_heun", "flow_dpm++", "flow_unipc"])
def test_the_perfect_velocity_of_a_gaussian_draws_that_gaussian(scheduler):
    model = tiny()
    model.network = Straight()
    found = model.sample(Conditions(400), seeded(), scheduler=scheduler, steps=50)
    assert float(found.mean()) == pytest.approx(0.2, abs=0.02)
    assert float(found.std()) == pytest.approx(0.3, abs=0.02)


def test_one_step_with_the_velocity_of_one_picture_is_that_picture():
    model, picture = tiny(), torch.rand(1, 1, 8, 8) - 0.5

    class Knows(Straight):
        def forward(self, x, times, labels=None):
            return (x - picture) / (times / 1000).view(-1, 1, 1, 1)

    model.network = Knows()
    for steps in (1, 5):
        found = model.sample(Conditions(2), seeded(), steps=steps)
        assert torch.allclose(found, picture.expand(2, -1, -1, -1), atol=1e-3)


def test_the_loss_of_a_network_that_says_nothing_is_that_of_the_velocity():
    model = tiny()
    with torch.no_grad():
        for weight in model.network.unet.conv_out.parameters():
            weight.zero_()
    for times in ("uniform", "logit_normal"):
        model.config = FlowMatchingConfig(unet=model.config.unet, times=times)
        torch.manual_seed(1)
        found = model.loss("flow", Batch(torch.full((512, 1, 8, 8), 0.5), torch.zeros(512).long()))["loss"]
        assert found.item() == pytest.approx(1.25, abs=0.04)


def test_a_few_steps_of_training_lower_the_loss():
    model = tiny().train()
    optimizer = torch.optim.AdamW(model.network.parameters(), 3e-3)
    images = torch.where(torch.arange(8) < 4, -1.0, 1.0).expand(16, 1, 8, 8)
    losses = []
    for _ in range(40):
        loss = model.loss("flow", Batch(images, torch.arange(16) % 3))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])


def test_saving_and_loading_is_bit_exact_and_seeds_hold(tmp_path):
    model = tiny()
    model.save(tmp_path)
    loaded = load_model(tmp_path)
    options = {"steps": 3, "guidance_scale": 2.0}
    expected, found, other = (
        m.sample(Conditions(3), seeded(s), **options) for m, s in ((model, 0), (loaded, 0), (model, 1))
    )
    assert torch.equal(expected, found)
    assert not torch.equal(expected, other)


def test_options_and_schedulers_that_do_not_fit_are_refused():
    with pytest.raises(SchedulerError, match="flow matching"):
        tiny().sample(Conditions(1), seeded(), scheduler="ddim")
    with pytest.raises(RecipeError, match="guidance_scale"):
        tiny().sample(Conditions(1), seeded(), guidance=2.0)
