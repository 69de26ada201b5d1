"""The main job from the command line, as the README gives it, without a terminal."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = [
    ("How do I stop an answer while it is being written?", "02-chat-commands.html", "Ctrl-C"),
    ("Which Python versions does Hearth need?", "01-getting-started.md", "3.11"),
    ("How long does Hearth wait for the first token?", "04-serving.pdf", "120 seconds"),
    ("How many tokens does a passage have at most?", "03-knowledge-base.docx", "220"),
    ("Which licence does Hearth have?", "05-questions.txt", "Apache"),
]


@pytest.fixture(scope="module")
def make_chat(tmp_path_factory):
    if not (ROOT / ".venv" / ".rag").exists():
        pytest.skip("the environment of `make chat` is not there; `make test` makes it")
    home = tmp_path_factory.mktemp("home")
    docs = tmp_path_factory.mktemp("documents") / "my manual"
    shutil.copytree(ROOT / "examples" / "manual", docs)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEARTH_")} | {"HEARTH_HOME": str(home)}

    def ask(question, docs=docs):
        command = ["make", "--no-print-directory", "chat", f"DOCS={docs}", f"Q={question}"]
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
        )

    return ask


@pytest.mark.parametrize(("question", "source", "words"), QUESTIONS)
def test_answers_with_the_right_source(make_chat, question, source, words):
    run = make_chat(question)
    assert run.returncode == 0, run.stdout + run.stderr
    assert words in run.stdout
    assert source in run.stdout


def test_says_so_when_the_documents_do_not_tell(make_chat):
    run = make_chat("Who won the football world cup in 1998?")
    assert "do not say" in run.stdout
    assert run.returncode == 2  # make's own code for a recipe that failed; hearth's was 3
    assert "Error 3" in run.stderr


def test_a_missing_folder_is_the_users_to_mend(make_chat, tmp_path):
    run = make_chat("Anything?", docs=tmp_path / "nowhere")
    assert run.returncode == 2
    assert "nowhere" in run.stderr
    assert "Traceback" not in run.stderr
