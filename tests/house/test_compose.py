"""compose.yaml: what it brings up, and that nothing of it is open to other machines."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_it_brings_up_qdrant_vllm_and_the_app():
    assert set(SERVICES) == {"qdrant", "vllm", "ui"}


def test_every_port_is_published_to_this_machine_alone():
    ports = [port for service in SERVICES.values() for port in service["ports"]]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_itself_accepts_it(monkeypatch):
    monkeypatch.delenv("HEARTH_DECODER_BASE_URL", raising=False)
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            break
    else:
        pytest.skip("docker compose is not installed")
    ran = subprocess.run([*command, "config"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    told = yaml.safe_load(ran.stdout)["services"]["ui"]["environment"]
    assert told["HEARTH_DECODER_BASE_URL"] == "http://vllm:8000/v1"
