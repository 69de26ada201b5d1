"""The trainer's parts against their formulas: order, learning rates, averages, gradients, meter, time left."""

import itertools
import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from decoder.errors import RecipeError
from decoder.runs.random_states import random_states, set_random_states, untouched_randomness
from generators.model import DataShape, GenerativeModel, Phase
from generators.pictures import Pictures
from generators.sections import TrainingSection
from generators.trainer_accelerator import make_accelerator
from generators.trainer_average import Averages
from generators.trainer_checks import check_training
from generators.trainer_figures import LINES, Meter
from generators.trainer_optimizers import Optimizers, learning_rate_factor
from generators.trainer_order import Order, Stream
from generators.trainer_progress import eta, share_done


@dataclass(frozen=True)
class Nothing:
    pass


class TwoParts(GenerativeModel):
    family, Config, averaged = "two", Nothing, ("first", "second")

    def __init__(self):
        super().__init__(Nothing(), DataShape(1, 2))
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.told = []

    def before(self, phase, pictures):
        self.told.append(phase)


def pictures(count=10, targets=0, paired=True):
    """Of which each pixel is its picture's number, but the left upper one, so that a mirror shows."""
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 2, 2)
    images[:, :, 0, 0] = 255
    second = torch.arange(targets, dtype=torch.uint8)[:, None, None, None].repeat(1, 1, 2, 2) if targets else None
    if second is not None:
        second[:, :, 0, 0] = 255
    return Pictures(images, torch.arange(count), tuple(map(str, range(count))), targets=second, paired=paired)


# The order


def test_a_stream_gives_every_number_once_an_epoch_in_an_order_of_its_own():
    stream = Stream(7, seed=3)
    epochs = [stream.take(7).tolist() for _ in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_at_the_end_of_an_epoch_is_filled_up_from_the_next():
    stream = Stream(10, seed=0)
    batches = [stream.take(4).tolist() for _ in range(5)]
    flat = list(itertools.chain(*batches))
    assert [len(batch) for batch in batches] == [4] * 5
    assert sorted(flat[:10]) == sorted(flat[10:]) == list(range(10))


def test_a_batch_larger_than_the_set_holds_every_picture():
    assert sorted(Stream(3, seed=0).take(6).tolist()) == [0, 0, 1, 1, 2, 2]


def test_the_order_does_not_hang_on_the_global_generator_and_leaves_it_alone():
    orders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        order = Order(pictures(), 4, flip=True, seed=5)
        orders.append([order.take()[1].tolist() for _ in range(5)])
        assert torch.equal(torch.get_rng_state(), before)
    assert orders[0] == orders[1] != [Order(pictures(), 4, True, seed=6).take()[1].tolist() for _ in range(5)]


@pytest.mark.parametrize("targets", [0, 6])
def test_an_order_that_was_restored_goes_on_as_the_one_that_was_saved(targets):
    whole, again = (Order(pictures(targets=targets, paired=False), 4, flip=True, seed=1) for _ in range(2))
    for _ in range(3):
        whole.take()
    again.restore(whole.state())
    for _ in range(5):
        (batch, index), (other, other_index) = whole.take(), again.take()
        assert torch.equal(index, other_index) and torch.equal(batch.images, other.images)
        assert targets == 0 or torch.equal(batch.targets, other.targets)


def test_pictures_are_mirrored_together_with_their_pairs_and_unpaired_ones_apart():
    def flipped(images):
        return (images[:, 0, 0, 1] == 1).tolist()

    paired, index = Order(pictures(10, 10), 64, flip=True, seed=0).take()
    assert flipped(paired.images) == flipped(paired.targets) and set(flipped(paired.images)) == {True, False}
    assert torch.equal(paired.images, paired.targets) and torch.equal(paired.labels, index)
    apart, _ = Order(pictures(10, 6, paired=False), 64, flip=True, seed=0).take()
    assert flipped(apart.images) != flipped(apart.targets)
    plain, _ = Order(pictures(), 64, flip=False, seed=0).take()
    assert set(flipped(plain.images)) == {False}


def test_unpaired_targets_are_drawn_apart_from_their_pictures_each_once_an_epoch():
    batch, index = Order(pictures(12, 6, paired=False), 12, flip=False, seed=0).take()
    numbers = ((batch.targets[:, 0, 1, 1] + 1) * 127.5).round().long().tolist()
    assert sorted(numbers) == sorted([*range(6)] * 2) and numbers != [i % 6 for i in index.tolist()]


def test_processes_share_each_batch_between_them():
    whole, _ = Order(pictures(), 6, False, 3).take(), None
    parts = [Order(pictures(), 3, False, 3, rank, 2).take()[1].tolist() for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(whole[1].tolist()) and len(parts[0]) == 3


# Learning rates


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", lambda p: 1.0), ("linear", lambda p: 1 - p), ("cosine", lambda p: (1 + math.cos(math.pi * p)) / 2)],
)
@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 1.0])
def test_a_schedule_is_its_formula(schedule, expected, progress):
    section = TrainingSection(learning_rate_schedule=schedule)
    assert learning_rate_factor(section, 100, progress) == pytest.approx(expected(progress), abs=1e-12)


def test_warmup_rises_by_equal_parts_and_reaches_the_whole_at_its_last_step():
    section = TrainingSection(warmup_steps=4)
    assert [learning_rate_factor(section, step, 0.0) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


# Averages


def test_the_average_is_its_formula_and_buffers_and_weights_stay_the_models_own():
    torch.manual_seed(0)
    model = TwoParts()
    averages, expected = Averages(model, decay=0.5), None
    for k in range(6):
        with torch.no_grad():
            model.first.weight.add_(torch.randn(2, 2))
        decay = min(0.5, (1 + k) / (10 + k)) if k else 0.0
        now = model.first.weight.detach().clone()
        expected = now if expected is None else decay * expected + (1 - decay) * now
        averages.step(model.first.parameters())
    own = model.first.weight.detach().clone()
    with averages.applied():
        torch.testing.assert_close(model.first.weight, expected)
    assert torch.equal(model.first.weight, own) and not torch.equal(own, expected)


def test_a_part_that_no_phase_has_updated_yet_begins_its_average_when_one_does():
    model = TwoParts()
    averages = Averages(model, decay=0.9)
    for _ in range(50):
        averages.step(model.first.parameters())
    with torch.no_grad():
        model.second.weight.fill_(3.0)
    averages.step(model.second.parameters())
    with averages.applied():
        assert model.second.weight.eq(3).all()


def test_without_a_decay_there_is_no_average():
    model = TwoParts()
    averages = Averages(model, decay=0.0)
    averages.step(model.parameters())
    with averages.applied():
        assert averages.state() == {}


def test_an_error_inside_leaves_the_models_own_weights():
    model = TwoParts()
    averages = Averages(model, decay=0.9)
    averages.step(model.first.parameters())
    with torch.no_grad():
        model.first.weight.fill_(1.0)
    with pytest.raises(ZeroDivisionError), averages.applied():
        raise ZeroDivisionError
    assert model.first.weight.eq(1).all()


# Whose turn it is


def test_only_the_parts_of_the_phase_have_gradients_and_frozen_ones_never():
    model = TwoParts()
    model.second.bias.requires_grad_(False)
    optimizers = Optimizers(model, pictures(), make_accelerator(TrainingSection()))
    first, second = Phase("one", ("first",), 1e-3), Phase("two", ("second",), 1e-3)
    wanted = {first: {"first.weight", "first.bias"}, second: {"second.weight"}}
    for phase in (first, second, first):
        optimizers.begin(phase)
        assert {name for name, p in model.named_parameters() if p.requires_grad} == wanted[phase]
    optimizers.release()
    assert {name for name, p in model.named_parameters() if p.requires_grad} == wanted[first] | wanted[second]
    assert model.told == ["one", "two"]


def test_optimisers_that_are_restored_tell_the_model_nothing_again():
    model = TwoParts()
    accelerator = make_accelerator(TrainingSection())
    saved = Optimizers(model, pictures(), accelerator)
    optimizer = saved.begin(Phase("one", ("first",), 1e-3, betas=(0.5, 0.9)))
    model.first(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    again = Optimizers(model, pictures(), accelerator)
    again.restore(saved.state())
    restored = again.begin(Phase("one", ("first",), 1e-3))
    assert model.told == ["one"] and restored.param_groups[0]["betas"] == (0.5, 0.9)
    moments = [each["exp_avg"] for each in restored.optimizer.state.values()]
    assert len(moments) == 2 and all(moment.abs().sum() > 0 for moment in moments)


# The meter, the time left, the random states


def test_a_meter_gives_means_under_the_phases_name_and_goes_on_from_its_state():
    meter = Meter()
    meter.add("critic", {"loss": torch.tensor(1.0), "real": 2.0})
    again = Meter()
    again.restore(meter.state())
    again.add("critic", {"loss": 3.0})
    assert again.means() == {"critic/loss": 2.0, "critic/real": 2.0}


def test_a_run_of_any_length_has_some_two_hundred_lines():
    for steps in (50, LINES, 1000, 10_007):
        meter, lines = Meter(), 0
        for step in range(1, steps + 1):
            meter.add("all", {"loss": 0.0})
            if meter.due(step / steps):
                lines += 1
                meter.clear(step / steps)
        assert lines == min(steps, LINES)


def test_of_two_limits_the_nearer_one_rules():
    assert share_done(5, 10, 1.0, 10.0) == 0.5 and share_done(5, 10, 9.0, 10.0) == 0.9
    assert share_done(5, 0, 3.0, 10.0) == 0.3 and share_done(99, 10, 0.0, 0.0) == 1.0
    assert eta(30.0, 0.25, 0.5) == pytest.approx(60.0) and eta(30.0, 0.5, 0.5) is None


def test_what_is_drawn_aside_is_not_seen_afterwards():
    import random

    import numpy as np

    def draw():
        return random.random(), float(np.random.rand()), float(np.random.normal()), float(torch.rand(()))

    states = random_states()
    expected = [draw(), draw()]
    set_random_states(states)
    found = [draw()]
    with untouched_randomness():
        draw(), draw()
    assert [*found, draw()] == expected


# What cannot be trained with


@dataclass(frozen=True)
class Refused:
    values: dict = field(default_factory=dict)
    words: str = ""


@pytest.mark.parametrize(
    "case",
    [
        Refused({"max_steps": 0}, "would never end"),
        Refused({"batch_size": 0}, "batch_size is 0"),
        Refused({"gradient_accumulation": -1}, "gradient_accumulation is -1"),
        Refused({"ema_decay": 1.0}, "ema_decay is 1.0"),
        Refused({"budget_seconds": -2.0}, "budget_seconds is -2.0"),
        Refused({"early_stop": 3}, "evaluate_every is 0"),
    ],
    ids=lambda case: case.words,
)
def test_settings_that_nothing_can_be_trained_with_are_refused(case):
    with pytest.raises(RecipeError, match=case.words):
        check_training(TrainingSection(**{"max_steps": 1, **case.values}))


def test_a_precision_that_this_machine_has_not_is_refused():
    if torch.cuda.is_available():
        pytest.skip("a GPU has fp16")
    with pytest.raises(RecipeError, match=r"fp16.*mixed_precision"):
        make_accelerator(TrainingSection(max_steps=1, mixed_precision="fp16"))
