"""How a picture was made is in its PNG, and the picture can be drawn again from it, bit by bit."""

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generators.errors import ImageError, ModelError, PipelineRefused
from generators.lora_weights import Lora
from generators.picture_metadata import KEY, MAX_BYTES, read_metadata, reproduce
from generators.text_to_image import TextToImage

pytest.importorskip("diffusers", reason="diffusers is in the generate extra")
SMALL = {"width": 32, "height": 32, "steps": 4}


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pipelines_support")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return support.save_pipeline("sd", tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def maker(folder):
    return TextToImage(folder)


@pytest.fixture(scope="module")
def drawn(maker):
    return maker.draw("a red cat, “so-called”", "dog", seed=11, scheduler="ddim", **SMALL)[0]


@pytest.fixture
def saved(drawn, tmp_path):
    """A picture of ours, saved."""
    return drawn.save(tmp_path / "cat.png")


def write(path, text=None, key=KEY, size=(32, 32)):
    """A PNG with a text chunk."""
    info = PngInfo()
    if text is not None:
        info.add_itxt(key, text)
    Image.new("RGB", size).save(path, pnginfo=info)
    return path


def said_in(path):
    with Image.open(path) as image:
        return json.loads(image.text[KEY])


def test_what_was_asked_is_read_back(maker, folder, saved):
    metadata = read_metadata(saved)
    assert metadata.prompt == "a red cat, “so-called”"
    assert (metadata.negative_prompt, metadata.seed, metadata.steps) == ("dog", 11, 4)
    assert (metadata.guidance_scale, metadata.strength) == (7.5, None)
    assert (metadata.scheduler, metadata.scheduler_name) == ("ExactDdim", "ddim")
    assert metadata.scheduler_config["beta_end"] == 0.012
    assert (metadata.model, metadata.model_sha256) == (folder.name, maker.identity.sha256)
    assert len(metadata.model_sha256) == 64
    assert set(metadata.versions) == {"hearth", "diffusers", "transformers", "torch", "pillow"}
    assert str(folder.parent) not in json.dumps(said_in(saved))  # no path of this machine leaves it


def test_the_round_trip_keeps_everything(maker, tmp_path):
    drawn = maker.draw("cat", seed=3, count=2, batch_size=2, expand=lambda prompt: f"a red {prompt}", **SMALL)[1]
    assert drawn.metadata.batch == (3, 2, 1)
    assert read_metadata(drawn.save(tmp_path / "a.png")) == drawn.metadata


def test_a_picture_is_drawn_again_bit_by_bit_by_its_model_loaded_anew(folder, saved):
    again = reproduce(saved, folder)
    assert again.equal
    assert again.largest_difference == 0
    assert again.notes == ()
    assert again.picture.metadata == read_metadata(saved)


def test_one_of_a_batch_is_drawn_again_bit_by_bit(maker, tmp_path):
    pictures = maker.draw("cat", seed=3, count=3, batch_size=2, **SMALL)
    for number, picture in enumerate(pictures):
        assert reproduce(picture.save(tmp_path / f"{number}.png"), maker).equal


def test_a_picture_from_a_picture_a_mask_and_loras_is_drawn_again_from_the_same(maker, tmp_path):
    base, mask = Image.radial_gradient("L").convert("RGB"), Image.linear_gradient("L")
    weights = support.save_lora(maker.pipeline, tmp_path, scale=4)
    asked = {"image": base, "mask": mask, "strength": 0.75}
    drawn = maker.draw("a cat", seed=1, loras=[Lora(weights, 0.5)], **asked, **SMALL)[0]
    path = drawn.save(tmp_path / "a.png")
    assert reproduce(path, maker, loras=[Lora(weights)], image=base, mask=mask).equal
    with pytest.raises(ModelError, match="LoRA weights are missing: pytorch_lora_weights"):
        reproduce(path, maker, image=base, mask=mask)
    with pytest.raises(ModelError, match="another picture or mask"):
        reproduce(path, maker, loras=[Lora(weights)], image=base, mask=Image.new("L", (32, 32), 255))


def test_pixels_that_were_changed_are_told(maker, saved):
    with Image.open(saved) as image:
        info = PngInfo()
        info.add_itxt(KEY, image.text[KEY])
        changed = image.copy()
    red, green, blue = changed.getpixel((5, 5))
    changed.putpixel((5, 5), ((red + 40) % 256, green, blue))
    changed.save(saved, pnginfo=info)
    again = reproduce(saved, maker)
    assert not again.equal
    assert again.largest_difference in (40, 216)


def test_another_model_is_refused_and_the_file_never_says_what_is_loaded(folder, saved, tmp_path, monkeypatch):
    other = support.save_pipeline("sd", tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="is another model"):
        reproduce(saved, other)
    with pytest.raises(ModelError, match="no model is named"):
        reproduce(saved)
    monkeypatch.setenv("HEARTH_GENERATORS_MODEL", str(folder))
    assert reproduce(saved).equal


def test_the_revision_is_the_users_too_since_anybody_can_propose_a_commit(saved):
    write(saved, json.dumps({**said_in(saved), "revision": "0" * 40}))
    with pytest.raises(PipelineRefused, match="no revision"):
        reproduce(saved, "someone/model")


def test_a_link_that_somebody_put_in_the_way_is_replaced_not_followed(drawn, tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "a.png").symlink_to(other)
    drawn.save(tmp_path / "a.png")
    assert other.read_text() == "mine" and not (tmp_path / "a.png").is_symlink()


def test_a_text_that_unpacks_to_gigabytes_is_refused(tmp_path):
    info = PngInfo()
    info.add_text(KEY, "a" * (65 << 20), zip=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    with pytest.raises(ImageError, match="no sound PNG"):
        read_metadata(tmp_path / "a.png")


def test_other_versions_are_told(maker, saved):
    said = said_in(saved)
    write(saved, json.dumps({**said, "versions": {**said["versions"], "torch": "1.0"}}))
    notes = reproduce(saved, maker).notes
    assert [note.split(" was ")[0] for note in notes] == ["torch"]


def test_pictures_of_others_are_refused(tmp_path):
    with pytest.raises(ImageError, match="does not say how Hearth made it"):
        read_metadata(write(tmp_path / "plain.png"))
    other = write(tmp_path / "other.png", "a cat\nSteps: 20, Sampler: Euler a, Seed: 1", "parameters")
    with pytest.raises(ImageError, match="another program's parameters"):
        read_metadata(other)
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    (tmp_path / "noise.png").write_bytes(b"\x89PNG\r\n\x1a\nnoise")
    for name in ("photo.jpg", "noise.png", "absent.png"):
        with pytest.raises(ImageError, match=name):
            read_metadata(tmp_path / name)


def test_a_truncated_picture_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-200])
    with pytest.raises(ImageError, match="no sound PNG"):
        read_metadata(saved)


CHANGES = [
    {"prompt": ""}, {"prompt": 3}, {"prompt": "a" * 10_001}, {"seed": -1}, {"seed": 12}, {"seed": 2**60},
    {"batch": [11, 2, 2]}, {"batch": [11, 1]}, {"batch": [11, 100, 0]}, {"steps": 10**9}, {"width": 10**6},
    {"batch": [11, 1, 0.0]}, {"steps": 4.0}, {"width": 64}, {"prompt": "a \x1b[2Jcat"}, {"notes": ["\x9b31m"]},
    {"guidance_scale": "7"}, {"guidance_scale": float("nan")}, {"model": ["a"]}, {"revision": "main"},
    {"model_sha256": "../../etc/passwd"}, {"loras": [{"name": "a", "sha256": "x", "scale": 1}]},
    {"loras": [{"path": "/etc/passwd"}]}, {"notes": ["a"] * 100}, {"run": "rm"}, {"format": 2},
    {"scheduler_config": {"beta_start": {"deep": {}}}}, {"versions": {"torch": 2}},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_metadata_that_was_changed_is_a_typed_error_that_names_the_key(maker, saved, change):
    write(saved, json.dumps({**said_in(saved), **change}))
    with pytest.raises(ImageError) as caught:
        reproduce(saved, maker)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 50_000, '"' + "a" * MAX_BYTES + '"', '{"prompt": "a"}'])
def test_metadata_that_is_no_json_of_ours_is_a_typed_error(tmp_path, text):
    with pytest.raises(ImageError, match=r"a\.png"):
        read_metadata(write(tmp_path / "a.png", text))


def test_a_missing_key_is_named(saved):
    said = said_in(saved)
    del said["steps"]
    write(saved, json.dumps(said))
    with pytest.raises(ImageError, match="'steps' is a required property"):
        read_metadata(saved)


def test_saving_where_nothing_can_be_written_leaves_nothing(maker, tmp_path):
    drawn = maker.draw("a", seed=1, **SMALL)[0]
    with pytest.raises(ImageError, match="saving a picture"):
        drawn.save(tmp_path / "absent" / "a.png")
    (tmp_path / "there").mkdir()
    with pytest.raises(ImageError, match="there"):
        drawn.save(tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_metadata_is_frozen(saved):
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_metadata(saved).seed = 1
