"""The commands of docs/generators.md's first model, as they stand, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def blocks():
    text = (ROOT / "docs" / "generators.md").read_text(encoding="utf-8")
    return re.findall(r"^```sh\n(.*?)^```", text.partition("## A first model")[2], re.S | re.M)


@pytest.fixture
def house(tmp_path, judges):
    command = tmp_path / "bin" / "hearth"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m ui.cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    few = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, **few, "PATH": path, "HEARTH_GENERATORS_JUDGES": judges}


@pytest.mark.slow
def test_the_tutorial_trains_draws_walks_and_reads_a_folder_of_pictures(house, tmp_path):
    for block in blocks():
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=house,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert run.returncode == 0, f"{block}\n{run.stdout}\n{run.stderr}"
    assert len(list((tmp_path / "pictures" / "made").iterdir())) == 40
    for name in ("samples.png", "walk.png", "own.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 16, name
    assert "<svg" in (tmp_path / "runs" / "vae-digits" / "report.html").read_text(encoding="utf-8")
