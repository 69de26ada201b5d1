"""Captions from files, classes and paths; what has no partner is listed, or an error."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from generators.data import load_pictures
from generators.data_entries import path_caption
from generators.errors import DataError
from generators.sections import DataSection


@pytest.fixture
def folder(tmp_path):
    for name in ("cats/old_cat1.png", "cats/young_cat.png", "owls/barn_owl.png", "owls/eagle_owl.png"):
        file = tmp_path / "animals" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 9).save(file)
    return tmp_path / "animals"


def load(folder, **keys):
    split = load_pictures(DataSection(source=str(folder), size=8, test_fraction=0, **keys))
    return dict(zip(split.train.names, split.train.captions, strict=True)), split.skipped


def csv(folder, text, name="captions.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return name


WHOLE = "file,caption\n" + "".join(
    f"{name},{text}\n"
    for name, text in (
        ("cats/old_cat1.png", '"a grey cat,\n  asleep"'),
        ("./cats/young_cat.png", "a kitten"),
        ("owls\\barn_owl.png", "an owl in a barn"),
        ("owls/eagle_owl.png", "größte Eule"),
    )
)
CAPTIONS = {
    "cats/old_cat1.png": "a grey cat, asleep",
    "cats/young_cat.png": "a kitten",
    "owls/barn_owl.png": "an owl in a barn",
    "owls/eagle_owl.png": "größte Eule",
}


def test_csv_and_jsonl_say_the_same_in_the_folder_or_anywhere(folder, tmp_path, monkeypatch):
    assert load(folder, captions=csv(folder, "\ufeff" + WHOLE), strict=True) == (CAPTIONS, ())
    lines = [json.dumps({"file": name, "caption": text, "more": 1}) for name, text in CAPTIONS.items()]
    (tmp_path / "elsewhere.jsonl").write_text("\n".join(lines) + "\n\n")
    assert load(folder, captions=str(tmp_path / "elsewhere.jsonl"), strict=True) == (CAPTIONS, ())


def test_a_caption_without_its_picture_and_a_picture_without_one_are_listed(folder):
    text = "file,caption\ncats/old_cat1.png,a cat\ncats/gone.png,a ghost\ncats/old_cat1.png,again\nowls/barn_owl.png,\n"
    found, skipped = load(folder, captions=csv(folder, text))
    assert found == {"cats/old_cat1.png": "a cat"}
    assert [(s.name, s.reason) for s in skipped] == [
        ("cats/gone.png", "captions.csv has a caption for it, and the picture is not there"),
        ("cats/old_cat1.png", "captions.csv has a second caption for it; the first is used"),
        ("cats/young_cat.png", "it has no caption"),
        ("owls/barn_owl.png", "it has no caption"),
        ("owls/eagle_owl.png", "it has no caption"),
    ]


@pytest.mark.parametrize(
    ("line", "named"),
    [("cats/gone.png,a ghost\n", r"cats/gone\.png: .* not there"), ("", r"cats/old_cat1\.png: it has no caption")],
)
def test_with_strict_either_is_an_error_that_names_it(folder, line, named):
    text = WHOLE + line if line else "file,caption\ncats/young_cat.png,a kitten\n"
    with pytest.raises(DataError, match=named):
        load(folder, captions=csv(folder, text), strict=True)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "file,text\nx,y\n", "has no column caption"),
        ("a.csv", "", "has no column caption and no column file"),
        ("a.csv", "file,caption\ncats/old_cat1.png\n", "line 2 lacks file or caption"),
        ("a.csv", "file,caption\n" + "x" * 200_000 + ",y\n", "field larger"),
        ("a.jsonl", '{"file": "x"}\n', "line 1 lacks"),
        ("a.jsonl", '{"file": "x", "caption": "y"}\nnot json\n', "line 2 is no JSON"),
        ("a.jsonl", "[1]\n", "line 1 lacks"),
        ("a.jsonl", "[" * 100_000, "line 1 is no JSON"),
        ("a.txt", "file,caption\n", r"ends in neither \.csv nor \.jsonl"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused_by_its_line(folder, name, text, told):
    with pytest.raises(DataError, match=told):
        load(folder, captions=csv(folder, text, name))


def test_bytes_that_are_no_utf8_and_a_missing_file_are_told(folder):
    (folder / "a.csv").write_bytes(b"file,caption\nx,\xff\n")
    with pytest.raises(DataError, match=r"a\.csv cannot be read"):
        load(folder, captions="a.csv")
    with pytest.raises(DataError, match=r"there is no file b\.csv"):
        load(folder, captions="b.csv")


def test_captions_of_classes_name_the_class_in_several_ways(folder):
    found, _ = load(folder, captions="classes")
    for name, caption in found.items():
        word = "owls" if name.startswith("owls") else "cats"
        article = "an" if word == "owls" else "a"
        assert caption in (word, f"{article} {word}", f"a picture of {article} {word}")
    with pytest.raises(DataError, match="wants classes"):
        load(folder / "cats", captions="classes")


def test_captions_of_digits_are_words_and_the_seed_chooses_them():
    split = load_pictures(DataSection(captions="classes"))
    for label, caption in zip(split.train.labels.tolist(), split.train.captions, strict=True):
        assert split.train.class_names[label] in caption.split()
    threes = {c for c, label in zip(split.train.captions, split.train.labels.tolist(), strict=True) if label == 3}
    assert threes == {"three", "a three", "the digit three", "a handwritten three"}
    assert "an eight" in split.train.captions
    assert load_pictures(DataSection(captions="classes")).train.captions == split.train.captions


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("mon/dragons/golden_dragon.png", "golden dragon, dragons"),
        ("item/weapon/ranged/hand-crossbow2.png", "hand crossbow, ranged, weapon"),
        ("gui/prompt_yes.png", "prompt yes, gui"),
        ("cats/0001.png", "cats"),
        ("dragons/dragons/dragons.png", "dragons"),
        ("Größe.PNG", "größe"),
        ("001.png", ""),
    ],
)
def test_the_words_of_a_path_from_the_nearest_up(name, caption):
    assert path_caption(name) == caption


def test_captions_by_paths(folder):
    found, _ = load(folder, captions="paths")
    assert found["cats/old_cat1.png"] == "old cat, cats"


@settings(max_examples=80, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(st.binary(max_size=120), st.text(max_size=120).map(lambda text: ("file,caption\n" + text).encode())),
    ending=st.sampled_from(["csv", "jsonl"]),
)
def test_any_bytes_as_captions_give_pictures_with_captions_or_the_typed_error(folder, data, ending):
    (folder / f"any.{ending}").write_bytes(data)
    try:
        found, _ = load(folder, captions=f"any.{ending}")
    except DataError as error:
        assert error.remedy
    else:
        assert found and all(found.values())
