"""A picture-making tool for an agent: it chooses the words alone, never the place, and there is an end to it."""

import importlib.util
import inspect
import json
import os
import runpy
import sys
from pathlib import Path

import pytest

from generators.errors import GeneratorError
from generators.picture_metadata import read_metadata
from generators.picture_tool import picture_tool
from generators.text_to_image import TextToImage

pytest.importorskip("diffusers", reason="diffusers is in the generate extra")
ROOT = Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pipelines_support")


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return TextToImage(support.save_pipeline("sd", tmp_path_factory.mktemp("sd")))


def test_it_draws_saves_under_a_name_of_ours_and_tells_where(maker, tmp_path):
    draw = picture_tool(maker, tmp_path / "new", width=32, height=32, steps=2)
    first, second = (json.loads(draw(prompt)) for prompt in ("a red cat", "../../etc/passwd"))
    assert [Path(said["path"]).name for said in (first, second)] == ["picture-0001.png", "picture-0002.png"]
    assert read_metadata(first["path"]).seed == first["seed"]
    assert read_metadata(second["path"]).prompt == "../../etc/passwd"
    assert {Path(said["path"]).parent for said in (first, second)} == {tmp_path / "new"}


def test_it_refuses_too_many_pictures_too_long_and_empty_prompts(maker, tmp_path):
    draw = picture_tool(maker, tmp_path, width=32, height=32, steps=2, most=1)
    for prompt, fault in (("", "empty"), ("a" * 1001, "more than 1000")):
        with pytest.raises(GeneratorError, match=fault):
            draw(prompt)
    draw("a")
    with pytest.raises(GeneratorError, match="holds 1 pictures already"):
        draw("a")
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_a_plain_typed_function_with_a_docstring(maker, tmp_path):
    draw = picture_tool(maker, tmp_path)
    assert inspect.signature(draw, eval_str=True) == inspect.signature(lambda prompt: "").replace(
        parameters=[inspect.Parameter("prompt", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)],
        return_annotation=str,
    )
    assert draw.__name__ == "draw_picture"
    assert "Args:\n" in inspect.getdoc(draw)


def test_an_agent_draws_with_it_once_it_was_allowed_to(tmp_path, monkeypatch, capsys):
    pytest.importorskip("docstring_parser", reason="docstring-parser is in the agents extra")
    for key in [key for key in os.environ if key.startswith("HEARTH_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path))
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setattr(sys, "argv", ["picture_agent.py", str(tmp_path / "pictures")])
    runpy.run_path(str(ROOT / "examples" / "picture_agent.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "asked about draw_picture 'a red cat': approved" in said
    assert said.endswith("The cat is in picture-0001.png.\n")
    assert read_metadata(tmp_path / "pictures" / "picture-0001.png").prompt == "a red cat"
