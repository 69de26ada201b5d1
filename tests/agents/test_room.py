"""What `import agents` gives: names, whatever was imported before them."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "imports",
    [
        "from agents import Agent, tool",
        "from agents import tool, Agent",
        "import agents.react; from agents import tool",
        "import agents.tool; from agents import tool",
    ],
)
def test_tool_is_the_decorator_and_not_its_module(imports):
    code = f"{imports}\nassert tool(name='x')(lambda: 5).name == 'x'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
