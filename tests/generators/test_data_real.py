"""Tiles and MNIST as they are; skipped where they are absent."""

import os
from pathlib import Path

import pytest
import torch

from generators.data import load_pictures
from generators.sections import DataSection

DATA = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def tiles():
    if not (DATA / "tiles" / "tiles.zip").is_file():
        pytest.skip(f"{DATA}/tiles is absent; set HEARTH_TEST_DATA")
    return f"zip:{DATA}/tiles/tiles.zip"


@pytest.fixture
def mnist():
    if not (DATA / "images" / "t10k-images-idx3-ubyte.gz").is_file():
        pytest.skip(f"{DATA}/images is absent; set HEARTH_TEST_DATA")
    return DATA / "images"


def test_every_tile_is_read_with_its_class_and_its_caption(tiles):
    split = load_pictures(
        DataSection(tiles, 32, 3, captions="paths", background="black", strict=True, test_fraction=0.2)
    )
    assert len(split.train) + len(split.test) == 4357 and split.skipped == ()
    assert split.train.class_names == ("UNUSED", "dngn", "effect", "gui", "item", "misc", "mon", "player")
    named = dict(zip(split.train.names + split.test.names, split.train.captions + split.test.captions, strict=True))
    assert named["mon/dragons/golden_dragon.png"] == "golden dragon, dragons"
    assert all(named.values())
    corners = split.train.images[:, :, 0, 0].float().mean()
    assert corners < 80  # most tiles are transparent at the corner


def test_mnist_s_ten_thousand_are_split_by_class(mnist):
    files = f"{mnist}/t10k-images-idx3-ubyte.gz,{mnist}/t10k-labels-idx1-ubyte.gz"
    split = load_pictures(DataSection(f"idx:{files}", 28, max_images=2000, test_fraction=0.1))
    assert (len(split.train), len(split.test), split.train.classes) == (1800, 200, 10)
    means = torch.stack([split.train.images[split.train.labels == k].float().mean() for k in range(10)])
    assert means.argmin() == 1  # a one takes the least ink
    assert means.argmax() == 0
