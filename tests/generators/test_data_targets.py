"""A second domain: folders paired by name or not, outlines, colours."""

import numpy as np
import pytest
import torch
from PIL import Image

from generators.data import load_pictures
from generators.data_domains import GROUND, INK
from generators.errors import DataError
from generators.sections import DataSection


def write(folder, count, value, ending="png", start=0):
    (folder / "a").mkdir(parents=True, exist_ok=True)
    for i in range(start, start + count):
        Image.new("L", (8, 8), value + i).save(folder / "a" / f"{i}.{ending}")


def load(source, targets, **keys):
    return load_pictures(
        DataSection(source=str(source), targets=str(targets), **{"size": 8, "test_fraction": 0.25, **keys})
    )


@pytest.fixture
def folders(tmp_path):
    """Twelve pictures of value i, and their targets of value 100 + i, in another format."""
    write(tmp_path / "photos", 12, 0)
    write(tmp_path / "maps", 12, 100, "bmp")
    return tmp_path / "photos", tmp_path / "maps"


def test_pairs_are_of_one_name_and_stay_together_through_drawing_and_splitting(folders):
    for split in (load(*folders), load(*folders, max_images=7)):
        for part in (split.train, split.test):
            assert part.paired and len(part.targets) == len(part)
            assert torch.equal(part.targets.long(), part.images.long() + 100)
    assert len(load(*folders, max_images=7).train) == 5


def test_what_has_no_partner_is_listed_or_an_error(folders):
    photos, maps = folders
    (photos / "a" / "3.png").unlink()
    (maps / "a" / "5.bmp").unlink()
    split = load(photos, maps)
    assert len(split.train) + len(split.test) == 10
    assert {(s.name, s.reason) for s in split.skipped} == {
        ("a/5.png", "it has no target of its name"),
        ("a/3.bmp", "a target of no picture"),
    }
    with pytest.raises(DataError, match=r"a/5\.png: it has no target"):
        load(photos, maps, strict=True)


def test_a_pair_is_left_out_when_its_target_is_damaged(folders):
    photos, maps = folders
    (maps / "a" / "5.bmp").write_bytes(b"BM")
    split = load(photos, maps)
    assert [s.name for s in split.skipped] == ["a/5.png"] and "a/5.bmp" in split.skipped[0].reason
    assert len(split.train) + len(split.test) == 11


def test_folders_without_a_common_name_are_told_how_to_go_on(folders, tmp_path):
    write(tmp_path / "others", 5, 50, start=40)
    with pytest.raises(DataError, match="unpaired"):
        load(folders[0], tmp_path / "others")


def test_two_sets_are_each_held_out_by_themselves(folders, tmp_path):
    write(tmp_path / "others", 8, 100, start=40)
    (tmp_path / "others" / "a" / "cut.png").write_bytes(b"\x89PNG")
    split = load(folders[0], tmp_path / "others", pairing="unpaired")
    assert (len(split.train), len(split.test), split.train.paired, split.test.paired) == (9, 3, False, False)
    assert (len(split.train.targets), len(split.test.targets)) == (6, 2)
    values = torch.cat([split.train.targets, split.test.targets])[:, 0, 0, 0].sort().values
    assert values.tolist() == list(range(140, 148))
    assert [s.name for s in split.skipped] == ["a/cut.png"]


def test_an_outline_is_the_line_around_what_is_bright_and_the_target_is_the_picture(tmp_path):
    square = np.zeros((8, 8), np.uint8)
    square[3:5, 3:5] = 200
    for i in range(4):
        Image.fromarray(square).save(tmp_path / f"{i}.png")
    split = load(tmp_path, "outline")
    expected = np.zeros((8, 8), np.uint8)
    expected[2:6, 2:6] = 200
    expected[3:5, 3:5] = 0
    assert (split.train.images[0, 0].numpy() == expected).all()
    assert (split.train.targets[0, 0].numpy() == square).all()
    assert split.train.paired and split.test.paired


def test_grey_pictures_are_tinted_by_one_fixed_map():
    split = load("digits", "colour", channels=3, size=16)
    for part in (split.train, split.test):
        grey = part.images[:, :1].float() / 255
        assert torch.equal(part.images, part.images[:, :1].expand(-1, 3, -1, -1))
        low, high = (torch.tensor(c).view(1, 3, 1, 1) for c in (GROUND, INK))
        assert torch.allclose(part.targets.float(), low + (high - low) * grey, atol=0.51)
    mistake = (split.test.images.float() - split.test.targets.float()).abs().mean() / 127.5
    assert mistake > 0.3  # doing nothing is far from right


def test_pictures_in_colour_keep_their_own_colours_as_the_target(tmp_path):
    for i in range(4):
        Image.new("RGB", (8, 8), (200, 10 * i, 0)).save(tmp_path / f"{i}.png")
    split = load(tmp_path, "colour", channels=3)
    assert split.train.targets[:, 0].eq(200).all()
    assert torch.equal(split.train.images[:, 0], split.train.images[:, 2])
    greys = {round(0.299 * 200 + 0.587 * 10 * i) for i in range(4)}
    assert set(split.train.images.unique().tolist()) <= greys


def test_made_domains_unpaired_are_apart_in_training_and_paired_where_they_are_held_out():
    split = load("digits", "colour", channels=3, size=16, pairing="unpaired")
    paired = load("digits", "colour", channels=3, size=16)
    assert not split.train.paired and split.test.paired
    assert torch.equal(split.test.targets, paired.test.targets)
    same = (split.train.targets == paired.train.targets).flatten(1).all(1)
    assert same.float().mean() < 0.02
    sums, paired_sums = (s.train.targets.flatten(1).sum(1).sort().values for s in (split, paired))
    assert torch.equal(sums, paired_sums)


def test_colours_want_three_channels():
    with pytest.raises(DataError, match=r"channels is 1. Set data\.channels: 3"):
        load("digits", "colour", size=16)


def test_binarised_pictures_have_binarised_targets(folders):
    split = load(*folders, binarise=True)
    assert set(split.train.images.unique().tolist()) == {0}
    assert set(split.train.targets.unique().tolist()) == {0}
    assert set(load("digits", "outline", size=16, binarise=True).train.images.unique().tolist()) == {0, 255}
