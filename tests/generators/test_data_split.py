"""Shares of classes, and the digits that need nothing."""

import subprocess
import sys

import torch
from hypothesis import given
from hypothesis import strategies as st

from generators.data import load_pictures
from generators.data_split import held_out, shares
from generators.sections import DataSection


@given(sizes=st.lists(st.integers(1, 500), min_size=1, max_size=20), fraction=st.floats(0, 0.9))
def test_shares_are_in_proportion_exact_in_sum_and_leave_each_class_one(sizes, fraction):
    wanted = round(fraction * sum(sizes))
    take = shares(sizes, wanted)
    assert all(0 <= number <= size - 1 for number, size in zip(take, sizes, strict=True))
    if all(size > 1 / (1 - fraction) + 2 for size in sizes):
        assert sum(take) == wanted
        assert all(abs(n - wanted * s / sum(sizes)) <= 1 for n, s in zip(take, sizes, strict=True))


def test_every_picture_is_on_one_side_and_both_orders_are_drawn():
    labels = torch.arange(1000) % 10
    ours, theirs = held_out(labels, 1000, 0.3, seed=0)
    assert sorted([*ours.tolist(), *theirs.tolist()]) == list(range(1000))
    for part in (ours, theirs):
        start = torch.bincount(labels[part][:100], minlength=10)
        assert start.min() >= 2 and not torch.equal(part, part.sort().values)


def test_the_digits_are_split_into_1400_and_397():
    split = load_pictures(DataSection())
    assert (len(split.train), len(split.test)) == (1400, 397)
    assert split.train.images.shape == (1400, 1, 16, 16) and split.train.images.dtype == torch.uint8
    assert torch.bincount(split.test.labels).min() == 39 and torch.bincount(split.test.labels).max() == 40
    assert split.train.class_names[8] == "eight" and split.skipped == ()


def test_importing_the_room_s_data_brings_neither_torch_nor_pillow():
    heavy = "('torch', 'PIL', 'numpy', 'datasets', 'sklearn')"
    code = f"import sys, generators.data; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stderr


def test_what_ends_a_run_early_is_a_tenth_of_the_training_pictures_of_every_class():
    from generators.data import load_pictures
    from generators.data_split import with_validation
    from generators.sections import DataSection

    split = load_pictures(DataSection(size=8))
    found = with_validation(split, seed=0)
    assert (len(found.train), len(found.test)) == (1260, 140)
    assert found.test.labels.bincount().min() >= 13
    rows = {bytes(image.numpy().tobytes()) for image in split.test.images}
    assert not rows & {bytes(image.numpy().tobytes()) for image in found.test.images}, "no test picture is looked at"
