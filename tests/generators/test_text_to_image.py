"""Pictures from prompts, with small pipelines of the SD, SDXL, SD3 and Flux families made on the spot."""

import importlib.util
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decoder.errors import UsageError
from generators.errors import Cancelled, GeneratorError, ModelError, PipelineRefused, SchedulerError
from generators.lora_weights import Lora, check_loras
from generators.text_to_image import TextToImage

pytest.importorskip("diffusers", reason="diffusers is in the generate extra")


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pipelines_support")
SMALL = {"width": 32, "height": 32, "steps": 4}
FEW = {"width": 32, "height": 32, "steps": 2}
LISTED = {"width": 32, "height": 32, "steps": 8}


@pytest.fixture(scope="module")
def makers(tmp_path_factory):
    """makers(family) -> its TextToImage, loaded once."""
    loaded = {}

    def maker(family):
        if family not in loaded:
            loaded[family] = TextToImage(support.save_pipeline(family, tmp_path_factory.mktemp(family)))
        return loaded[family]

    return maker


@pytest.fixture(params=support.FAMILIES)
def maker(request, makers):
    return makers(request.param)


def pixels(picture):
    return np.asarray(picture.image, dtype=int)


def apart(left, right):
    """Mean difference of two pictures' values, of 255."""
    return float(np.abs(pixels(left) - pixels(right)).mean())


def test_the_same_seed_draws_the_same_picture_and_each_of_many_can_be_drawn_alone(maker):
    both = maker.draw("a red cat", seed=7, count=2, **FEW)
    again = maker.draw("a red cat", seed=8, **FEW)[0]
    assert [picture.metadata.seed for picture in both] == [7, 8]
    assert both[0].image.size == (32, 32)
    assert apart(both[0], both[1]) > 1
    assert apart(both[1], again) == 0


def test_a_batch_is_its_single_pictures_but_for_the_last_bit(maker):
    together = maker.draw("a red cat", seed=7, count=2, batch_size=2, **FEW)
    alone = [maker.draw("a red cat", seed=7 + number, **FEW)[0] for number in range(2)]
    assert max(np.abs(pixels(a) - pixels(b)).max() for a, b in zip(together, alone, strict=True)) <= 1


def test_a_seed_is_chosen_where_none_is_given_and_told(makers):
    maker = makers("sd")
    first = maker.draw("a cat", **SMALL)[0]
    again = maker.draw("a cat", seed=first.metadata.seed, **SMALL)[0]
    assert apart(first, again) == 0


def test_prompt_and_negative_prompt_both_matter(maker):
    plain = maker.draw("a red cat", seed=1, **FEW)[0]
    assert apart(plain, maker.draw("a blue dog", seed=1, **FEW)[0]) > 0
    assert apart(plain, maker.draw("a red cat", "dog", seed=1, **FEW)[0]) > 0


def test_every_step_is_told_with_a_preview_and_the_last_one_is_the_picture(maker):
    told = []
    drawn = maker.draw("a cat", seed=3, on_step=lambda step: told.append((step, step.preview())), **SMALL)[0]
    assert [(step.number, step.steps, step.picture) for step, _ in told] == [(1, 4, 0), (2, 4, 0), (3, 4, 0), (4, 4, 0)]
    last = np.asarray(told[-1][1], dtype=int)
    assert np.abs(last - pixels(drawn)).max() <= 1  # 16 latents a side are decoded as they are
    assert np.abs(np.asarray(told[0][1], dtype=int) - last).max() > 1


def test_a_preview_of_a_larger_picture_is_small(makers):
    sizes = []
    makers("sd").draw("a", seed=3, width=96, height=64, steps=1, on_step=lambda s: sizes.append(s.preview().size))
    assert sizes == [(32, 20)]


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_cancelling_ends_it_within_a_step_and_the_next_drawing_is_sound(makers, family):
    maker = makers(family)
    cancel, told = threading.Event(), []

    def stop(step):
        told.append(step.number)
        cancel.set()

    with pytest.raises(Cancelled):
        maker.draw("a cat", seed=3, on_step=stop, cancel=cancel, **{**SMALL, "steps": 20})
    assert told == [1]
    with pytest.raises(Cancelled):
        maker.draw("a cat", cancel=cancel, **SMALL)
    assert maker.draw("a cat", seed=3, **SMALL)


def test_what_on_step_raises_comes_out_as_it_is(makers):
    def fail(step):
        raise ValueError("of the listener's")

    with pytest.raises(ValueError, match=r"^of the listener's$"):
        makers("sd").draw("a", on_step=fail, **SMALL)


def test_a_picture_grows_from_another_the_less_the_stronger(maker):
    red, blue = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    near, far = (
        apart(*(maker.draw("a cat", seed=2, image=image, strength=strength, **SMALL)[0] for image in (red, blue)))
        for strength in (0.34, 1.0)
    )
    assert near > far


def test_inpainting_keeps_what_is_black_in_the_mask(maker):
    base = Image.radial_gradient("L").resize((32, 32)).convert("RGB")
    kept, redrawn = (
        apart(*(maker.draw("a", seed=seed, image=base, mask=mask, strength=1.0, **FEW)[0] for seed in (1, 2)))
        for mask in (Image.new("L", (32, 32), 0), Image.new("L", (32, 32), 255))
    )
    assert kept < 0.5 * redrawn


def test_an_image_gives_the_size_and_is_fitted_with_a_note(makers, tmp_path):
    Image.new("RGB", (45, 34), "red").save(tmp_path / "photo.png")
    drawn = makers("sd").draw("a", image=tmp_path / "photo.png", steps=4)[0]
    assert drawn.image.size == (40, 32)
    assert drawn.metadata.notes == ("the image of 45 x 34 was fitted to 40 x 32",)
    assert drawn.metadata.strength == 0.8


@pytest.mark.parametrize("name", ["ddim", "euler", "dpm++"])
def test_schedulers_go_by_name_and_draw_other_pictures(makers, name):
    maker = makers("sdxl")
    before = maker.pipeline.scheduler
    own = maker.draw("a cat", seed=1, guidance_scale=2, **LISTED)[0]
    other = maker.draw("a cat", seed=1, guidance_scale=2, scheduler=name, **LISTED)[0]
    assert other.metadata.scheduler_name == name
    assert (apart(own, other) > 0) == (name != "euler")
    assert maker.pipeline.scheduler is before


def test_a_scheduler_that_is_unknown_or_of_another_kind_is_refused(makers):
    with pytest.raises(SchedulerError, match="Did you mean euler"):
        makers("sd").draw("a", scheduler="eular", **SMALL)
    with pytest.raises(SchedulerError, match="flow matching"):
        makers("flux").draw("a", scheduler="ddim", **SMALL)
    with pytest.raises(SchedulerError, match="Use flow_euler"):
        makers("flux").draw("a", scheduler="flow_heun", **SMALL)
    assert makers("sd3").draw("a", scheduler="flow_heun", **SMALL)[0].metadata.scheduler_name == "flow_heun"
    assert makers("flux").draw("a", scheduler="flow_euler", **SMALL)


def test_settings_that_contradict_each_other_are_refused_before_a_step_is_done(makers):
    from diffusers import DDIMScheduler

    maker, told = makers("sd"), []
    own = maker.pipeline.scheduler
    try:
        for pipeline in (maker.pipeline, maker._tasks.form("text")):
            pipeline.scheduler = DDIMScheduler(**support.SD_SCHEDULE)
        with pytest.raises(SchedulerError, match="scheduler"):
            maker.draw("a", on_step=told.append, **SMALL)
        assert not told
        assert maker.draw("a", width=32, height=32, steps=25)
    finally:
        for pipeline in (maker.pipeline, maker._tasks.form("text")):
            pipeline.scheduler = own


def test_a_prompt_is_expanded_by_what_is_handed_in_and_both_are_told(makers):
    maker = makers("sd")
    drawn = maker.draw("cat", seed=1, expand=lambda prompt: f"a red {prompt} ", **SMALL)[0]
    assert (drawn.metadata.prompt, drawn.metadata.original_prompt) == ("a red cat", "cat")
    assert apart(drawn, maker.draw("a red cat", seed=1, **SMALL)[0]) == 0


@pytest.mark.parametrize("written", ["", "  \n", "a" * 10_001, None])
def test_an_expansion_that_is_empty_or_too_long_draws_nothing(makers, written):
    with pytest.raises(GeneratorError, match="expanding the prompt"):
        makers("sd").draw("cat", expand=lambda prompt: written, **SMALL)


def test_words_that_no_text_encoder_reads_are_told(makers):
    long = " ".join(["cat"] * 100)
    assert makers("sd").draw(long, **SMALL)[0].metadata.notes == (
        "the text encoder reads the first 77 of the prompt's 102 tokens",
    )
    assert makers("sd3").draw(long, **SMALL)[0].metadata.notes == ()  # its third encoder reads 256
    assert makers("sd").draw("a red dragon", **SMALL)[0].metadata.notes == (
        "the model knows no word for 1 of the prompt's tokens",
    )


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"width": 33}, "width 33 is no multiple of 8. Use 32 or 40"),
        ({"height": 4}, "Use 8 or 8"),
        ({"width": 5000}, "width 5000"),
        ({"steps": -1}, "steps -1"),
        ({"count": 0}, "count 0"),
        ({"count": 2.5}, "count 2.5"),
        ({"seed": -1}, "seed -1"),
        ({"guidance_scale": float("nan")}, "guidance_scale nan"),
        ({"strength": 0.5}, "a strength without an image"),
        ({"prompt": " "}, "the prompt is empty"),
        ({"prompt": "a \x1b[2Jcat"}, "control character '\\x1b'"),
        ({"prompt": "half of a character \ud800"}, "control character '\\ud800'"),
        ({"prompt": "a" * 10_001}, "more than 10000"),
        ({"negative_prompt": "dog", "guidance_scale": 1.0}, "does nothing at guidance_scale 1.0"),
        ({"image": Image.new("RGB", (32, 32)), "strength": 0.1}, "leaves no step of 4"),
        ({"mask": Image.new("L", (32, 32))}, "a mask without an image"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_any_work(makers, asked, fault):
    told = []
    with pytest.raises(GeneratorError) as caught:
        makers("sd").draw(**{"prompt": "a", **SMALL, **asked}, on_step=told.append)
    assert fault in str(caught.value)
    assert isinstance(caught.value, UsageError)
    assert not told


def test_a_model_that_gives_no_numbers_is_an_error_not_a_black_picture(makers, tmp_path):
    import torch

    maker = TextToImage(support.save_pipeline("sd", tmp_path))
    with torch.no_grad():
        maker.pipeline.vae.decoder.conv_out.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="no numbers"):
        maker.draw("a", **SMALL)


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_lora_weights_are_laid_on_by_their_scale_and_taken_off_after(makers, tmp_path, family):
    maker = makers(family)
    file = support.save_lora(maker.pipeline, tmp_path, scale=4)
    before = maker.draw("a cat", seed=1, **SMALL)[0]
    full, half = (maker.draw("a cat", seed=1, loras=[Lora(file, scale)], **SMALL)[0] for scale in (1.0, 0.5))
    assert apart(before, full) > 0
    assert apart(half, full) > 0
    assert full.metadata.loras[0]["name"] == "pytorch_lora_weights.safetensors"
    assert apart(before, maker.draw("a cat", seed=1, **SMALL)[0]) == 0


def test_several_loras_are_laid_on_together(makers, tmp_path):
    maker = makers("sd")
    files = [support.save_lora(maker.pipeline, tmp_path / str(seed), 4, seed) for seed in (1, 2)]
    one, other, both = (
        maker.draw("a cat", seed=1, loras=[Lora(file) for file in chosen], **SMALL)[0]
        for chosen in (files[:1], files[1:], files)
    )
    assert apart(one, both) > 0
    assert apart(other, both) > 0


def test_weights_that_are_no_lora_of_this_model_are_refused_and_leave_it_as_it_was(makers, tmp_path):
    maker = makers("sd")
    before = maker.draw("a", seed=1, **SMALL)[0]
    flux = support.save_lora(makers("flux").pipeline, tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    for path, kind, fault in (
        (flux, ModelError, "pytorch_lora_weights"),
        (tmp_path / "broken.safetensors", PipelineRefused, "no safetensors"),
        (tmp_path / "weights.bin", PipelineRefused, r"no \.safetensors file"),
        (tmp_path / "absent.safetensors", GeneratorError, "there is no file"),
    ):
        with pytest.raises(kind, match=fault):
            maker.draw("a", loras=[Lora(path)], **SMALL)
    assert apart(before, maker.draw("a", seed=1, **SMALL)[0]) == 0


@pytest.mark.parametrize(
    "said", [{"unet.megatron_config": {"a": 1}, "unet.megatron_core": "trap"}, {"unet.init_lora_weights": "pissa"}, "["]
)
def test_a_lora_whose_configuration_imports_a_module_or_changes_the_model_is_refused(tmp_path, said):
    import torch
    from safetensors.torch import save_file

    about = {"lora_adapter_metadata": said if isinstance(said, str) else json.dumps(said)}
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=about)
    with pytest.raises(PipelineRefused, match=r"a\.safetensors: its"):
        check_loras([Lora(tmp_path / "a.safetensors")])


def test_a_lora_in_a_hub_cache_is_a_link_to_a_file_without_an_ending(makers, tmp_path):
    maker = makers("sd")
    file = support.save_lora(maker.pipeline, tmp_path, scale=4)
    (tmp_path / "cached.safetensors").symlink_to(file.rename(tmp_path / "0123abcd"))
    asked = {"seed": 1, **SMALL}
    drawn = maker.draw("a cat", loras=[Lora(tmp_path / "cached.safetensors")], **asked)[0]
    assert apart(drawn, maker.draw("a cat", **asked)[0]) > 0


def test_a_lora_is_written_with_its_scale():
    assert Lora.parse("a/b.safetensors:0.5") == Lora(Path("a/b.safetensors"), 0.5)
    assert Lora.parse("b.safetensors") == Lora(Path("b.safetensors"))
    with pytest.raises(GeneratorError, match="no scale"):
        Lora.parse("b.safetensors:much")
