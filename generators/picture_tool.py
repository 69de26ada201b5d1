"""A picture-making tool for an agent: a plain typed function, which the agent's side wraps.

Wrap it as one that writes, since it leaves files: `tool(effect="write")(picture_tool(maker, folder))`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from generators.draw_request import STEP, check_text
from generators.errors import GeneratorError

if TYPE_CHECKING:
    from generators.text_to_image import TextToImage

MAX_PROMPT = 1000
MAX_PICTURES = 100


def picture_tool(
    maker: TextToImage, folder: str | Path, *, width: int = 0, height: int = 0, steps: int = 0, most: int = MAX_PICTURES
) -> Callable[[str], str]:
    """A function from a prompt to what was saved, for an agent.

    Args:
        maker: draws.
        folder: where pictures go, as picture-0001.png and on; the agent chooses neither place nor name.
        width, height, steps: of every picture, as in `TextToImage.draw`.
        most: pictures in the folder, after which it refuses.
    """
    place = Path(folder).expanduser()
    one = threading.Lock()

    def draw_picture(prompt: str) -> str:
        """Draw a picture and save it. Answers with the file's path and the seed, as JSON.

        Args:
            prompt: what is to be seen, in one or two sentences.
        """
        check_text(prompt, "the prompt")
        if len(prompt) > MAX_PROMPT:
            raise GeneratorError(STEP, f"the prompt has more than {MAX_PROMPT} characters", "Shorten it")
        with one:
            path = _next_place(place, most)
            picture = maker.draw(prompt, width=width, height=height, steps=steps)[0]
            picture.save(path)
        about = picture.metadata
        said = {"path": str(path), "seed": about.seed, "width": about.width, "height": about.height}
        return json.dumps({**said, "notes": list(about.notes)} if about.notes else said)

    return draw_picture


def _next_place(folder: Path, most: int) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GeneratorError(STEP, f"{folder} cannot be written: {error.strerror}", "Choose another folder") from error
    for number in range(1, most + 1):
        path = folder / f"picture-{number:04d}.png"
        if not path.exists():
            return path
    raise GeneratorError(STEP, f"{folder} holds {most} pictures already", "Remove some of them")
