"""`python -m ui.tiny.ship`: a trained model becomes the packaged one, or nothing changes."""

import json
import shutil

import pytest

from decoder.errors import UsageError
from ui.tiny import ship


@pytest.fixture
def trained(tiny_llama, tmp_path):
    """A random Llama in float32, as a training leaves it."""
    folder = shutil.copytree(tiny_llama, tmp_path / "run" / "model")
    (folder / "training_args.bin").write_bytes(b"\x80\x04N.")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04N.")
    return folder


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_it_is_saved_in_bfloat16_with_what_belongs_to_it_alone(trained, tmp_path):
    from safetensors import safe_open

    target = tmp_path / "package" / "hearth-tiny"
    size = ship.ship(trained, target)
    files = contents(target)
    assert size == sum(map(len, files.values()))
    assert files.keys() == {
        "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    with safe_open(target / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {"torch.bfloat16"}  # noqa: SIM118
    assert json.loads(files["generation_config.json"])["temperature"] == ship.TEMPERATURE
    assert {file.stat().st_mode & 0o777 for file in target.iterdir()} == {0o644}
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("fault", ["large", "other words", "no template", "no weights"])
def test_what_is_refused_leaves_the_package_as_it_was(trained, tmp_path, monkeypatch, fault):
    target = tmp_path / "package" / "hearth-tiny"
    target.mkdir(parents=True)
    (target / "config.json").write_text("before")
    if fault == "large":
        monkeypatch.setattr(ship, "MOST_BYTES", 1000)
    if fault == "other words":
        said = iter([["one"] * 3, ["two"] * 3])
        monkeypatch.setattr(ship, "_greedy", lambda model, tokenizer: next(said))
    if fault == "no template":
        (trained / "chat_template.jinja").unlink()
    if fault == "no weights":
        (trained / "model.safetensors").unlink()
    with pytest.raises(UsageError):
        ship.ship(trained, target)
    assert contents(target) == {"config.json": b"before"}
    assert list(target.parent.iterdir()) == [target]
