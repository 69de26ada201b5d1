"""A folder of pictures, and a zip of them: classes, splits, skips, and what is refused."""

import io
import os
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generators.data import load_pictures
from generators.data_zip import find_in_zip
from generators.errors import DataError, ImageError
from generators.sections import DataSection


def picture(file, colour=(200, 0, 0), size=(8, 8)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(file)


@pytest.fixture
def folder(tmp_path):
    """Eight red cats and four green dogs."""
    for i in range(8):
        picture(tmp_path / "pets" / "cats" / f"{i}.png", (200, 0, 0))
    for i in range(4):
        picture(tmp_path / "pets" / "dogs" / f"{i}.jpg", (0, 200, 0))
    return tmp_path / "pets"


def load(source, **keys):
    return load_pictures(DataSection(source=str(source), **{"size": 8, "channels": 3, "test_fraction": 0.25, **keys}))


def names(split):
    return sorted(split.train.names + split.test.names)


# Classes and splits


def test_sub_folders_are_classes_and_each_is_held_out_in_proportion(folder):
    split = load(folder)
    assert split.train.class_names == ("cats", "dogs")
    assert (len(split.train), len(split.test)) == (9, 3)
    assert torch.bincount(split.test.labels).tolist() == [2, 1]
    for part in (split.train, split.test):
        red = part.images[:, 0].float().mean((1, 2)) > 100
        assert (red == (part.labels == 0)).all()
    assert not set(split.train.names) & set(split.test.names)


def test_the_seed_says_which_are_held_out(folder):
    one, same, other = (load(folder, seed=seed) for seed in (1, 1, 2))
    assert one.test.names == same.test.names
    assert torch.equal(one.train.images, same.train.images)
    assert one.test.names != other.test.names


def test_a_split_that_the_source_has_is_kept(folder):
    for part, count in (("train", 5), ("test", 2)):
        for i in range(count):
            picture(folder.parent / "made" / part / "cats" / f"{i}.png")
            picture(folder.parent / "made" / part / "dogs" / f"{i}.png")
    split = load(folder.parent / "made", test_fraction=0.9)
    assert (len(split.train), len(split.test)) == (10, 4)
    assert split.train.class_names == split.test.class_names == ("cats", "dogs")
    assert all(name.startswith("test/") for name in split.test.names)


def test_a_single_class_is_none_and_loose_pictures_beside_classes_are_told(folder):
    assert load(folder / "cats").train.labels is None
    picture(folder / "logo.png")
    split = load(folder)
    assert len(names(split)) == 12
    assert [(s.name, s.reason) for s in split.skipped] == [("logo.png", "it lies beside the class folders, in none")]


def test_so_many_are_drawn_by_the_seed(folder):
    split = load(folder, max_images=6)
    assert len(names(split)) == 6
    assert names(split) == names(load(folder, max_images=6))
    assert names(split) != names(load(folder, max_images=6, seed=3))


def test_mixed_sizes_all_become_one(folder):
    picture(folder / "cats" / "wide.png", size=(90, 30))
    picture(folder / "cats" / "large.webp", size=(500, 400))
    assert load(folder).train.images.shape[1:] == (3, 8, 8)


def test_binarised_values_are_black_or_white_at_one_half(tmp_path):
    for value in (0, 127, 128, 255):
        Image.new("L", (8, 8), value).save(tmp_path / f"{value}.png")
    split = load(tmp_path, channels=1, binarise=True, test_fraction=0)
    found = {name: int(image.max()) for name, image in zip(split.train.names, split.train.images, strict=True)}
    assert found == {"0.png": 0, "127.png": 0, "128.png": 255, "255.png": 255}
    assert len(split.test) == 0


# What is left out, or refused


def hostile(folder):
    (folder / "cats" / "cut.png").write_bytes((folder / "cats" / "0.png").read_bytes()[:40])
    (folder / "cats" / "text.jpg").write_text("no picture")
    Image.new("RGB", (1, 1)).save(folder / "dogs" / "pixel.png")
    frames = [Image.new("RGB", (8, 8), (c, 0, 0)) for c in (0, 255)]
    frames[0].save(folder / "dogs" / "moves.gif", save_all=True, append_images=frames[1:])


def test_pictures_that_cannot_be_used_are_skipped_counted_and_listed_by_name(folder):
    hostile(folder)
    split = load(folder)
    assert len(names(split)) == 12
    assert [s.name for s in split.skipped] == ["cats/cut.png", "cats/text.jpg", "dogs/moves.gif", "dogs/pixel.png"]
    assert all(s.reason and s.name not in s.reason for s in split.skipped)  # told once


def test_with_strict_the_first_one_is_an_error(folder):
    hostile(folder)
    with pytest.raises(ImageError, match=r"cats/cut\.png"):
        load(folder, strict=True)


def test_links_that_lead_out_and_links_to_folders_are_left_out(folder):
    picture(folder.parent / "secret.png")
    (folder / "cats" / "out.png").symlink_to(folder.parent / "secret.png")
    (folder / "cats" / "again.png").symlink_to(folder / "cats" / "0.png")
    (folder / "loop").symlink_to(folder)
    (folder / "cats" / "gone.png").symlink_to(folder / "nothing")
    split = load(folder)
    assert "cats/again.png" in names(split) and len(names(split)) == 13
    assert {s.name: s.reason for s in split.skipped} == {
        "cats/out.png": "a link that leads out of the folder",
        "cats/gone.png": "a link that leads nowhere",
        "loop": "a link to a folder",
    }


def test_odd_names_are_names(folder):
    picture(folder / "cats" / "two\nlines\x1b[2J.png")
    (folder / "cats" / os.fsdecode(b"\xff.png")).write_bytes((folder / "cats" / "0.png").read_bytes())
    split = load(folder)
    assert "cats/two\nlines\x1b[2J.png" in names(split) and "cats/\\xff.png" in names(split)
    "".join(names(split)).encode("utf-8")


def test_a_pipe_is_not_waited_for_and_hidden_files_are_no_pictures(folder):
    os.mkfifo(folder / "cats" / "pipe.png")
    (folder / "cats" / "._0.png").write_bytes(b"a Mac's")
    (folder / "notes.txt").write_text("beside")
    split = load(folder)
    assert [s.name for s in split.skipped] == ["cats/pipe.png"]


def test_an_empty_folder_a_file_and_nothing_are_told_apart(tmp_path, folder):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no pictures"):
        load(tmp_path / "empty")
    with pytest.raises(DataError, match="is a file"):
        load(folder / "cats" / "0.png")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "missing")
    with pytest.raises(DataError, match=r"data\.source is empty"):
        load_pictures(DataSection(source=""))


def test_when_nothing_can_be_used_the_first_reason_is_told(tmp_path):
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(DataError, match=r"none of the pictures .* a\.png is no picture"):
        load(tmp_path)


def test_more_than_fits_into_memory_is_refused_before_anything_is_decoded(folder):
    for i in range(24):
        (folder / "cats" / f"more{i}.png").write_text("would be refused if it were read")
    with pytest.raises(DataError, match=r"GiB of memory. Set data\.max_images to at most") as caught:
        load(folder, size=4096, max_images=24, targets="outline", strict=True)
    most = int(caught.value.remedy.split("at most ")[1].split(",")[0])
    assert most * 4096 * 4096 * 3 * 2 <= 2 * 2**30


def test_the_settings_limit_on_pixels_counts(folder, monkeypatch):
    picture(folder / "cats" / "large.png", size=(40, 40))
    monkeypatch.setenv("HEARTH_GENERATORS_MAX_PIXELS", "1000")
    assert [s.name for s in load(folder).skipped] == ["cats/large.png"]


@pytest.mark.parametrize("keys", [{"size": 0}, {"size": 5000}, {"test_fraction": 1.0}, {"max_images": -1}])
def test_numbers_that_mean_nothing_are_refused(folder, keys):
    (key,) = keys
    with pytest.raises(DataError, match=rf"data\.{key} is"):
        load_pictures(DataSection(source=str(folder), **keys))


# Zip


def make_zip(file, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return f"zip:{file}"


def png(colour=(200, 0, 0), size=(8, 8)):
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def test_a_zip_is_read_as_a_folder_is(folder, tmp_path):
    members = [(f.relative_to(folder).as_posix(), f.read_bytes()) for f in sorted(folder.rglob("*.*"))]
    zipped, plain = load(make_zip(tmp_path / "pets.zip", members)), load(folder)
    assert zipped.train.names == plain.train.names
    assert torch.equal(zipped.train.images, plain.train.images)
    assert torch.equal(zipped.test.labels, plain.test.labels)


def test_names_in_a_zip_are_never_paths(tmp_path):
    outside = tmp_path / "outside.png"
    source = make_zip(
        tmp_path / "z.zip", [("../outside.png", png()), ("/etc/a.png", png()), *((f"a/{i}.png", png()) for i in "123")]
    )
    split = load(source)
    assert [s.name for s in split.skipped] == ["../outside.png", "/etc/a.png"]
    assert not outside.exists() and len(names(split)) == 3


def test_a_zip_bomb_and_one_of_very_many_files_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="as a trap would"):
        load(make_zip(tmp_path / "bomb.zip", [("a.png", b"\0" * 20 * 2**20)]))
    source = make_zip(tmp_path / "many.zip", [(f"{i}.png", png()) for i in range(5)])
    monkeypatch.setattr("generators.data_zip.MOST_ENTRIES", 4)
    with pytest.raises(DataError, match="5 files, more than 4"):
        load(source)


def test_a_damaged_or_encrypted_member_is_skipped_by_name(tmp_path):
    source = make_zip(tmp_path / "d.zip", [(f"{i}.png", png()) for i in range(4)], zipfile.ZIP_STORED)
    data = bytearray((tmp_path / "d.zip").read_bytes())
    data[data.index(b"IDAT") + 5] ^= 0xFF
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the last member's flag of encryption
    (tmp_path / "d.zip").write_bytes(data)
    split = load(source)
    assert {s.name: s.reason for s in split.skipped}.keys() == {"0.png", "3.png"}
    assert len(names(split)) == 2


def test_what_is_no_zip_is_told(tmp_path):
    (tmp_path / "no.zip").write_text("no zip")
    with pytest.raises(DataError, match="cannot be read as zip"):
        find_in_zip(tmp_path / "no.zip")
    with pytest.raises(DataError, match=r"there is no file .*missing\.zip"):
        find_in_zip(tmp_path / "missing.zip")
    with pytest.raises(DataError, match="holds no pictures"):
        load(make_zip(tmp_path / "text.zip", [("a.txt", "x")]))


def test_a_member_without_a_name_is_passed_over(tmp_path):
    file = tmp_path / "nameless.zip"
    make_zip(file, [(f"{name}/{i}.png", png()) for name in "ab" for i in "12"])
    before, _, after = file.read_bytes().rpartition(b"a/1.png")  # in the directory at its end
    file.write_bytes(before + b"\0/1.png" + after)
    assert sorted(names(load(f"zip:{file}"))) == ["a/2.png", "b/1.png", "b/2.png"]


@settings(max_examples=60, deadline=3000)
@given(st.data())
def test_a_zip_with_any_bytes_changed_gives_pictures_or_the_typed_error(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "changed.zip"
    make_zip(file, [(f"{name}/{i}.png", png()) for name in "ab" for i in "12"])
    changed = bytearray(file.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    file.write_bytes(changed)
    try:
        split = load(f"zip:{file}")
    except DataError as error:
        assert "changed.zip" in error.cause
    else:
        assert 0 < len(names(split)) <= 4
