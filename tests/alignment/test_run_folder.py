"""A run's folder is its own: nothing foreign is written over, and no two processes write in it at once."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from alignment.recipe import make_recipe
from alignment.run_folder import check_run, open_run
from decoder.errors import RecipeError
from decoder.runs.folder import RunFolder, alone, is_going

ROOT = Path(__file__).resolve().parents[2]


def recipe(output):
    return make_recipe({"stage": "sft", "name": "mine", "output": str(output)})


@pytest.mark.parametrize("below", ["", "run", "a/b"])
def test_an_output_that_is_a_file_or_below_one_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RecipeError, match="file is a file, not a folder"):
        check_run(recipe(tmp_path / "file" / below), resume=False)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_where_nothing_can_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RecipeError, match="nothing can be written in"):
            check_run(recipe(tmp_path / "run"), resume=False)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("resume", [False, True])
def test_a_model_that_no_run_left_is_not_written_over(tmp_path, resume):
    (tmp_path / "model").mkdir()
    with pytest.raises(RecipeError, match=r"no run\.json"):
        check_run(recipe(tmp_path), resume)


@pytest.mark.parametrize("text", ['{"status": ', "\udcff"])
def test_a_state_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RecipeError, match=r"run\.json cannot be read"):
        check_run(recipe(tmp_path), resume=True)


def test_a_run_knows_the_versions_that_it_was_made_with(tmp_path):
    pytest.importorskip("trl")
    noted = open_run(recipe(tmp_path / "run")).state["versions"]
    assert set(noted) >= {"hearth", "python", "torch", "transformers", "trl", "peft", "accelerate"}
    assert noted["trl"] == version("trl") and noted["hearth"] == version("hearth")


def test_while_one_process_trains_another_cannot_go_on_with_the_same_run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    program = (
        "import sys, pathlib; from decoder.runs.folder import RunFolder, alone\n"
        f"with alone(RunFolder(pathlib.Path({str(folder.path)!r}))): print('mine', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    other = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "mine\n"
        folder.note(pid=other.pid)
        with pytest.raises(RecipeError, match=f"another process \\(pid {other.pid}\\)"), alone(folder):
            pass
        other.communicate(timeout=30)
    finally:
        other.kill()
    with alone(folder):  # its end lets go, whatever ended it
        pass


def test_a_run_goes_on_while_its_process_holds_the_folder_and_was_killed_when_nobody_does(tmp_path):
    made = recipe(tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert not is_going(folder), "there is none"
    with alone(folder):
        open_run(made)
        assert is_going(folder)
        folder.note(status="stopped")
        assert not is_going(folder)
    folder.note(status="running")
    assert not is_going(folder), "its process lives, and does something else"
    folder.note(pid=2**22 + 1)
    assert not is_going(folder)
