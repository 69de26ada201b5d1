"""Which code made an artefact: Hearth's version, its Git commit where it is a checkout, and the libraries' versions."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "diffusers", "tokenizers", "safetensors")
ROOT = Path(__file__).resolve().parents[2]


def code_version() -> dict[str, Any]:
    """Hearth's version; in a checkout also the commit, and whether files were changed since."""
    found: dict[str, Any] = {"hearth": hearth_version()}
    if (ROOT / ".git").exists():
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
        if commit:
            found |= {"commit": commit, "changed": bool(changes)}
    return found


def hearth_version() -> str:
    """Hearth's version; empty where it is not installed."""
    return _version("hearth")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that training rests on."""
    found = {name: _version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **{name: each for name, each in found.items() if each}}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # no Git here: the version alone has to do
    return done.stdout.strip() if done.returncode == 0 else ""
