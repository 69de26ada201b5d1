"""No test touches the user's own data: every session has an empty home, and what it leaves there goes with it."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory):
    """HEARTH_HOME for the tests that set none of their own; caches of models' vectors would else outlive the run."""
    before = os.environ.get("HEARTH_HOME")
    os.environ["HEARTH_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ["HEARTH_HOME"]
    else:
        os.environ["HEARTH_HOME"] = before
