"""Section `[generators]` of the settings: where runs and judges live, and what a picture may weigh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from decoder.settings import home, section


@dataclass(frozen=True, slots=True)
class GeneratorSettings:
    """Empty paths stand for the defaults.

    Attributes:
        runs: where runs are kept whose recipe names no output; by default `runs/` in the working directory.
        judges: where judge classifiers are kept; by default `judges/` under `home()`.
        model: the hub name or folder of the pipeline that pictures are made with where none is given; empty: none.
        revision: of that pipeline on the hub, as a whole commit.
        max_pixels: the largest picture that is decoded, in pixels.
    """

    runs: str = ""
    judges: str = ""
    model: str = ""
    revision: str = ""
    max_pixels: int = 64_000_000

    @property
    def runs_folder(self) -> Path:
        """Where runs are kept."""
        return Path(self.runs or "runs").expanduser()

    @property
    def judges_folder(self) -> Path:
        """Where judges are kept."""
        return Path(self.judges).expanduser() if self.judges else home() / "judges"


def generator_settings() -> GeneratorSettings:
    """The settings as they are now. Raises SettingsError."""
    return section("generators", GeneratorSettings)
