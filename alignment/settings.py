"""Section `[alignment]` of the settings: where runs, the registry and the feedback live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from decoder.settings import home, section


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """Empty paths stand for the defaults; `models` and `feedback` are under `home()`.

    Attributes:
        models: the registry's folder; `models/` by default.
        feedback: the feedback store's file; `feedback.sqlite` by default.
        runs: where runs are kept whose recipe names no output; by default `runs/` in the working directory.
    """

    models: str = ""
    feedback: str = ""
    runs: str = ""

    @property
    def models_folder(self) -> Path:
        """Where trained artefacts are registered."""
        return Path(self.models).expanduser() if self.models else home() / "models"

    @property
    def feedback_file(self) -> Path:
        """Where feedback is kept."""
        return Path(self.feedback).expanduser() if self.feedback else home() / "feedback.sqlite"

    @property
    def runs_folder(self) -> Path:
        """Where runs are kept."""
        return Path(self.runs or "runs").expanduser()


def alignment_settings() -> AlignmentSettings:
    """The settings as they are now. Raises SettingsError."""
    return section("alignment", AlignmentSettings)
