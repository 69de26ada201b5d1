"""Sound and moving pictures from prompts, with small pipelines as Stable Audio's and LTX's."""

import importlib.util
import json
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generators.errors import Cancelled, GeneratorError, ImageError, ModelError
from generators.text_to_audio import TextToAudio, sample_rate
from generators.text_to_video import TextToVideo

pytest.importorskip("diffusers", reason="diffusers is in the generate extra")


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pipelines_support")


@pytest.fixture(scope="module")
def audio_folder(tmp_path_factory):
    return support.save_media("audio", tmp_path_factory.mktemp("audio"))


@pytest.fixture(scope="module")
def audio(audio_folder):
    return TextToAudio(audio_folder)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return TextToVideo(support.save_media("video", tmp_path_factory.mktemp("video")))


def test_a_sound_has_its_length_and_is_the_same_for_the_same_seed(audio):
    first, again, other = (audio.make("a dog", seconds=0.5, steps=3, seed=seed) for seed in (1, 1, 2))
    assert (first.samples.shape[0], first.sample_rate) == (2, 400)
    assert first.seconds == pytest.approx(0.5, abs=0.01)
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)


def test_a_sound_is_saved_as_wav_with_how_it_was_made_beside_it(audio, tmp_path):
    sound = audio.make("a dog", "a cat", seconds=0.5, steps=3, seed=1)
    path = sound.save(tmp_path / "dog.wav")
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 400)
        read = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T / 32767
    assert np.abs(read - sound.samples.clip(-1, 1)).max() < 1e-4
    said = json.loads((tmp_path / "dog.wav.json").read_text())
    assert (said["prompt"], said["negative_prompt"], said["seed"], said["seconds"]) == ("a dog", "a cat", 1, 0.5)
    assert said["num_inference_steps"] == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["dog.wav", "dog.wav.json"]


def test_a_video_has_its_frames_and_is_saved_animated(video, tmp_path):
    asked = {"frames": 5, "width": 32, "height": 32, "steps": 2, "frame_rate": 8}
    clip, again = (video.make("a cat", seed=1, **asked) for _ in range(2))
    assert [frame.size for frame in clip.frames] == [(32, 32)] * 5
    assert all(np.array_equal(a, b) for a, b in zip(clip.frames, again.frames, strict=True))
    for name in ("cat.webp", "cat.gif", "cat.png"):
        with Image.open(clip.save(tmp_path / name)) as saved:
            assert saved.n_frames == 5
            assert saved.info.get("duration", 125) in (120, 125)  # GIF counts hundredths of a second
    with Image.open(tmp_path / "cat.webp") as saved:
        assert np.array_equal(np.asarray(saved.convert("RGB")), np.asarray(clip.frames[0]))
    assert json.loads((tmp_path / "cat.gif.json").read_text())["num_frames"] == 5


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_steps_are_told_and_cancelling_ends_it(kind, request):
    maker, told, cancel = request.getfixturevalue(kind), [], threading.Event()
    size = {"seconds": 0.5} if kind == "audio" else {"frames": 5, "width": 32, "height": 32}
    maker.make("a", steps=3, on_step=lambda step: told.append((step.number, step.steps)), **size)
    assert told == [(1, 3), (2, 3), (3, 3)]

    def stop(step):
        told.append(step.number)
        cancel.set()

    with pytest.raises(Cancelled):
        maker.make("a", steps=30, on_step=stop, cancel=cancel, **size)
    assert told[3:] == [1]
    with pytest.raises(GeneratorError, match="no previews"):
        maker.make("a", steps=1, on_step=lambda step: step.preview(), **size)


@pytest.mark.parametrize(
    ("kind", "asked", "fault"),
    [
        ("audio", {"seconds": 0}, "seconds 0"),
        ("audio", {"seconds": 1e6}, "seconds 1000000.0"),
        ("audio", {"prompt": ""}, "the prompt is empty"),
        ("video", {"frames": 6}, "6 frames are no multiple of 4 and one. Use 5 or 9"),
        ("video", {"frames": 10**6}, "frames 1000000"),
        ("video", {"width": 33, "height": 32}, "33"),
        ("video", {"steps": -1}, "steps -1"),
        ("video", {"seed": -1}, "seed -1"),
    ],
)
def test_what_cannot_be_made_is_a_typed_error(kind, asked, fault, request):
    with pytest.raises(GeneratorError) as caught:
        request.getfixturevalue(kind).make(**{"prompt": "a", **asked})
    assert fault in str(caught.value)


def test_a_model_of_another_kind_is_refused(audio_folder, tmp_path):
    with pytest.raises(ModelError, match="StableAudioPipeline makes no moving pictures"):
        TextToVideo(audio_folder)
    with pytest.raises(ModelError, match="StableDiffusionPipeline makes no sound"):
        TextToAudio(support.save_pipeline("sd", tmp_path))


def test_a_video_that_cannot_be_saved_is_a_typed_error(video, tmp_path):
    clip = video.make("a", frames=5, width=32, height=32, steps=1, seed=1)
    with pytest.raises(GeneratorError, match=r"neither \.webp"):
        clip.save(tmp_path / "cat.mp4")
    with pytest.raises(ImageError, match="saving"):
        clip.save(tmp_path / "absent" / "cat.gif")


def test_sampling_rates_are_those_of_vocoder_or_autoencoder():
    class Holder:
        def __init__(self, **parts):
            self.__dict__.update(parts)

    vocoder, vae = Holder(config=Holder(sampling_rate=16000)), Holder(config=Holder(sampling_rate=44100))
    assert sample_rate(Holder(vocoder=vocoder, vae=vae)) == 16000
    assert sample_rate(Holder(vae=vae)) == 44100
    with pytest.raises(ModelError, match="sampling rate"):
        sample_rate(Holder(vae=Holder(config=Holder())))
