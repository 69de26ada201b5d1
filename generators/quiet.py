"""Libraries that talk to each other on the user's terminal are silenced while they work for us.

Their progress bars, deprecations and advice are meant for their own callers; what a user should know is checked here
beforehand, or told as an error or a note.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

TALKERS = ("diffusers", "transformers")


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Inside, diffusers and transformers log errors alone, and no warning is shown."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    of_diffusers.disable_progress_bar()
    of_transformers.disable_progress_bar()  # type: ignore[no-untyped-call]
    levels = {name: logging.getLogger(name).level for name in TALKERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in TALKERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
