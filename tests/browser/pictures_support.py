"""A tiny trained model that the tests of the page "pictures" share: a VAE of a few steps on digits."""

import os
from pathlib import Path

OVERRIDES = [
    "training.max_steps=4",
    "training.budget_seconds=0",
    "training.evaluate_every=0",
    "training.sample_every=2",
    "model.hidden=16",
]
SPEC = {"does": "train", "recipe": "vae-digits", "name": "tiny", "run": "home:tiny", "overrides": OVERRIDES}


class Silent:
    """A job that nobody looks at."""

    def __init__(self, folder):
        self.folder, self.told = Path(folder), {}
        self.folder.mkdir(parents=True, exist_ok=True)

    def tell(self, *, now=False, **progress):
        self.told |= progress


def train_tiny(home, spec=SPEC):
    """The run, trained in this process under this home."""
    import pytest

    from ui.browser import picture_train_job

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTH_HOME", str(home))
        patch.setattr("generators.trainer_run.renew_report", lambda folder: None)  # plots take longer than this
        picture_train_job.run(spec, Silent(Path(home) / "job"))
    return Path(home) / "runs" / "tiny"


def write_job(home, kind, spec, state, person="", **more):
    """A job's folder as a process would have left it; "killed" has no end."""
    import json
    import secrets
    import time

    folder = Path(home) / "jobs" / f"20260101-000000-{secrets.token_hex(3)}"
    folder.mkdir(parents=True)
    asked = {"kind": kind, "title": more.pop("title", "a job"), "person": person, "started": time.time(), "spec": spec}
    (folder / "job.json").write_text(json.dumps(asked))
    (folder / "alive").write_text("")
    (folder / "progress.json").write_text(json.dumps(more.pop("progress", {})))
    if state != "killed":
        (folder / "ended.json").write_text(json.dumps({"state": state, "at": time.time(), **more}))
    os.utime(folder)
    return folder.name
