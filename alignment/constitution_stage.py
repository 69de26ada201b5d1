"""The stage `constitution`: a recipe's prompts, worked on by its decoder, become two data sets in the run's folder.

asked.jsonl         every request and its answer, by a hash of what was asked; what --resume goes on from
transcripts.jsonl   each prompt with its answer, critiques, revisions, verdicts, seed, and the reason where it failed
sft.jsonl           messages: each prompt with its last revision
preferences.jsonl   prompt, chosen, rejected: what the judge prefers in both orders

Killed at any moment, it goes on without asking again what was answered; what failed is asked again.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.constitution import Pairing, Way, Worked, work
from alignment.constitution_principles import load_constitution
from alignment.constitution_rows import rows_of
from alignment.run_folder import open_run
from decoder.errors import CheckpointFailed, RecipeError, Stopped
from decoder.runs.folder import RunFolder
from decoder.types import Message, Sampling

if TYPE_CHECKING:
    from alignment.sections import ConstitutionSection, Recipe
    from decoder.base import Decoder

STEP = "constitution"
PAIRINGS: dict[str, tuple[Pairing, ...]] = {
    "revision": ("revision",),
    "samples": ("samples",),
    "both": ("revision", "samples"),
}


def run(recipe: Recipe, resume: bool = False, decoder: Decoder | None = None) -> RunFolder:
    """Run the stage. Its folder gets no model; `data` in run.json says where the rows are.

    Args:
        decoder: in place of the recipe's; it is closed at the end.

    Raises:
        RecipeError, DataError: the recipe, the constitution or the prompts cannot be used.
        ServiceError: the decoder is gone; go on with `resume`.
        Stopped: a signal ended the run; go on with `resume`.
    """
    from alignment.data import load_data

    way = _way(recipe)
    data = load_data(recipe.data, "constitution")
    prompts = [_messages(row["prompt"]) for row in data.train]
    folder = open_run(recipe, resume)
    try:
        with _interrupted_by_sigterm(), closing(_recorder(folder, decoder or _decoder(recipe.constitution))) as asked:
            worked = work(asked, prompts, way, _Progress(folder, len(prompts)))
        _finish(folder, worked, data.report.plain())
    except KeyboardInterrupt as error:
        folder.note(status="stopped")
        raise Stopped(STEP, "a signal ended the run", "Go on with --resume") from error
    except OSError as error:
        folder.note(status="failed", error=str(error))
        raise CheckpointFailed(STEP, f"{folder.path}: {error}", "Free some space, and go on with --resume") from error
    except Exception as error:
        folder.note(status="failed", error=str(error))
        raise
    return folder


class _Progress:
    """A line of metrics for each prompt that is done."""

    def __init__(self, folder: RunFolder, total: int) -> None:
        self.folder, self.total, self.done, self.failed = folder, total, 0, 0
        folder.forget_after(0)

    def __call__(self, worked: Worked) -> None:
        self.done += 1
        self.failed += bool(worked.error)
        self.folder.log(self.done, {"done": self.done, "of": self.total, "failed": self.failed})


def _finish(folder: RunFolder, worked: list[Worked], data: Any) -> None:
    made = rows_of(worked)
    files = {"sft": made.sft, "preferences": made.preferences, "transcripts": [asdict(one) for one in worked]}
    paths = {name: folder.path / f"{name}.jsonl" for name in files}
    for name, rows in files.items():
        _write(paths[name], rows)
    for one in worked[:20]:
        folder.sample(len(worked), one.prompt[-1].text, one.final.text, draft=one.draft.text)
    metrics = made.metrics(worked)
    results = {name: {"path": str(paths[name]), "rows": len(rows)} for name, rows in files.items()}
    folder.note(
        status="finished", finished=time.time(), kind="data", metrics=metrics, data=data, results=results,
        base="", base_sha256="",
    )  # fmt: skip


def _way(recipe: Recipe) -> Way:
    section = recipe.constitution
    for name in ("rounds", "max_tokens", "concurrency"):
        if getattr(section, name) < 1:
            raise RecipeError(STEP, f"constitution.{name} is {getattr(section, name)}", "Give a number from 1")
    if not 0 <= section.temperature <= 2:
        raise RecipeError(STEP, f"constitution.temperature is {section.temperature}", "Give a number from 0 to 2")
    return Way(
        load_constitution(section.principles),
        section.rounds,
        PAIRINGS[section.pair_with] if section.pairs else (),
        section.reasons,
        Sampling(temperature=section.temperature, max_tokens=section.max_tokens),
        recipe.seed,
        section.concurrency,
    )


def _decoder(section: ConstitutionSection) -> Decoder:
    """The recipe's server or folder, else the settings' decoder, whose key no other server gets."""
    from decoder.client import ServedDecoder
    from decoder.settings import DecoderSettings
    from decoder.settings import section as settings_section

    if section.embedded:
        if section.base_url:
            raise RecipeError(STEP, "constitution.embedded and constitution.base_url are both given", "Give one")
        from alignment.models import resolve
        from decoder import tiny
        from decoder.embedded import EmbeddedDecoder

        return EmbeddedDecoder(resolve(str(tiny.resolve(section.embedded))))
    settings = settings_section("decoder", DecoderSettings)
    if section.base_url and section.base_url.rstrip("/") != settings.base_url.rstrip("/"):
        settings = DecoderSettings(base_url=section.base_url, timeout=settings.timeout)
    if not settings.base_url and not settings.preset:
        remedy = "Set constitution.base_url or constitution.embedded, or HEARTH_DECODER_BASE_URL"
        raise RecipeError(STEP, "no decoder is set", remedy)
    return ServedDecoder.from_settings(replace(settings, model=section.model or settings.model))


def _recorder(folder: RunFolder, decoder: Decoder) -> Decoder:
    """The decoder with a memory. Raises RecipeError when another model was asked before."""
    from decoder.base import run_sync
    from decoder.recorded import RecordedDecoder

    file = folder.path / "asked.jsonl"
    _mend(file)
    recorded = RecordedDecoder(file, decoder)
    try:
        run_sync(decoder.apinned())  # all of one data set is by one model, also when another is promoted meanwhile
        if file.exists() and decoder.model != recorded.model:
            cause = f"the run in {folder.path} was begun with the model {recorded.model}, not {decoder.model}"
            raise RecipeError(STEP, cause, "Name that model, or give another output")
    except BaseException:
        recorded.close()
        raise
    return recorded


def _mend(file: Path) -> None:
    """Take out what a kill or a full disk left half written; those requests are made again."""
    if not file.exists():
        return
    lines = file.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n") and _is_object(line)]
    if not whole or b'"constraints"' not in whole[0]:
        file.unlink()  # not even its head was written
    elif len(whole) < len(lines):
        aside = file.with_name("." + file.name)
        aside.write_bytes(b"".join(whole))
        aside.replace(file)


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _messages(prompt: str | Iterable[Mapping[str, Any]]) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    return tuple(Message(turn["role"], turn["content"]) for turn in prompt)


def _write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    aside = file.with_name("." + file.name)
    with aside.open("w", encoding="ascii") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)
    aside.replace(file)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the wait for the decoder as Ctrl-C does; every answer so far is on the disk."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
