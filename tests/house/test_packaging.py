"""The wheel holds every file that the checkout's packages hold, and works from an empty folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("decoder", "prompts", "rag", "agents", "alignment", "generators", "ui")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines():  # fmt: skip
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder), str(source)]
    subprocess.run(command, check=True, timeout=240)
    return next(folder.glob("*.whl"))


def test_nothing_is_forgotten(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    here = {str(f.relative_to(ROOT)) for room in ROOMS for f in (ROOT / room).rglob("*") if f.is_file()}
    assert {name for name in here if "__pycache__" not in name} - packed == set()


def test_hearth_tiny_is_in_the_wheel(wheel, hearth_tiny):
    packed = zipfile.ZipFile(wheel)
    weights = (hearth_tiny / "model.safetensors").relative_to(ROOT)
    assert packed.read(str(weights)) == (ROOT / weights).read_bytes()


def test_the_installed_wheel_works_away_from_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([*install, str(site), str(wheel)], check=True, timeout=120)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import {', '.join(ROOMS)}; "
        f"assert all(m.__file__.startswith({str(site)!r}) for m in ({', '.join(ROOMS)})); "
        "sys.argv = ['hearth', '--help']; from ui.cli.main import main; main()"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "ask" in run.stdout and "serve" in run.stdout


def test_every_pinned_package_is_in_constraints():
    import tomllib

    from packaging.requirements import Requirement
    from packaging.version import Version

    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split(";")[0].strip().split("==")
            pins[name.lower().replace("_", "-")] = Version(version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, wanted):
        if requirement.name != "hearth":
            assert pins[requirement.name.lower()] in requirement.specifier, requirement
