"""The tutorial of docs/alignment.md, command by command, against the session's vLLM.

Its first block is not run: the base model is the tests' tiny Llama in place of one that takes minutes to train (which
test_pretrain.py does in small), and the server is the session's. Everything else is run as it stands.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from decoder import alias
from decoder.server_http import model_names

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


def blocks():
    text = (ROOT / "docs" / "alignment.md").read_text(encoding="utf-8")
    tutorial = text.partition("## From a thumb to a served adapter")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", tutorial, re.S | re.M)


@pytest.fixture
def place(tmp_path, tiny_llama, vllm_server, vllm_home):
    """A folder with the manual and a base model; afterwards the server serves its base alone again."""
    shutil.copytree(tiny_llama, tmp_path / "runs" / "pretrain-small" / "model")
    (tmp_path / "examples").mkdir()
    shutil.copytree(ROOT / "examples" / "manual", tmp_path / "examples" / "manual")
    command = tmp_path / "bin" / "hearth"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m ui.cli "$@"\n')
    command.chmod(0o755)
    yield {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "HEARTH_HOME": str(vllm_home),
        "HEARTH_ALIGNMENT_MODELS": str(tmp_path / "models"),
        "HEARTH_ALIGNMENT_FEEDBACK": str(tmp_path / "feedback.sqlite"),
        "HEARTH_RAG_INDEX_FOLDER": str(tmp_path / "indexes"),
        "HF_HUB_OFFLINE": "1",
    }
    alias.targets()
    (vllm_home / "aliases.json").unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(vllm_home))
        for name in model_names(vllm_server.base_url)[1:]:
            vllm_server.unload_adapter(name)


def test_the_tutorial_leads_from_feedback_to_a_promoted_adapter_and_back(place, tmp_path):
    said = []
    for block in blocks()[1:]:
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=place,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert run.returncode == 0, f"{block}\n{run.stdout}\n{run.stderr}"
        said.append(run.stdout)
    talked, trained, promoted = said
    assert talked.count("\tedit\t") == 4 and "Kept as a better answer" in talked
    assert "mine is trained" in trained and "⟦" in trained, "the preview marks what is trained"
    adapter = re.search(r"^(mine-[0-9a-f]+)\t", trained, re.M)[1]
    assert f"{adapter} answers for tiny-llama from now on" in promoted
    assert f"{adapter}\tadapter\tsft" in promoted and "promoted on tiny-llama" in promoted
    assert promoted.rstrip().endswith("tiny-llama answers again")
