"""Imports run one way, and cheap rooms stay cheap."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("decoder", "prompts", "rag", "agents", "alignment", "generators", "ui")
HEAVY = (
    "torch",
    "transformers",
    "langchain_core",
    "llama_index",
    "streamlit",
    "openai",
    "numpy",
    "pydantic",
    "aiohttp",
    "jinja2",
    "yaml",
)


def test_the_import_contracts_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def test_importing_every_room_loads_nothing_heavy():
    code = f"import sys, {', '.join(ROOMS)}; print([m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is(room):
    tree = ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))
    assert len(ast.get_docstring(tree) or "") > 40


def test_no_file_has_more_than_400_lines():
    files = [f for room in ROOMS for f in (ROOT / room).rglob("*.py")]
    long = {str(f.relative_to(ROOT)): n for f in files if (n := len(f.read_text().splitlines())) > 400}
    assert long == {}
    assert len(files) > 20


PLACES = {
    "vllm": (),
    "qdrant_client": ("rag/store", "rag/sparse.py"),
    "qdrant_edge": ("rag/store", "rag/sparse.py"),
    "trl": ("alignment/",),
    "peft": ("alignment/",),
    "diffusers": ("generators/",),
    "streamlit": ("ui/",),
    "langchain": (),
    "langgraph": ("agents/langchain",),
    "langchain_core": ("decoder/langchain", "prompts/langchain", "rag/langchain.py", "agents/langchain"),
    "llama_index": (
        "decoder/llamaindex",
        "prompts/llamaindex.py",
        "rag/llamaindex.py",
        "rag/chunk",
        "agents/llamaindex",
    ),
    "ray": ("rag/ray",),
    "pickle": (),
}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def test_third_parties_stay_in_their_place():
    strays = [
        f"{name} imports {module}"
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        for module in imported(ast.parse(file.read_text(encoding="utf-8")))
        if module in PLACES and not (name := file.relative_to(ROOT).as_posix()).startswith(PLACES[module] or ("-",))
    ]
    assert strays == []
