"""Where the command line meets the other rooms: which knowledge base, which decoder. Tests put theirs in here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from decoder.errors import UsageError
from ui.cli.output import describe, progress_bar, remark, remark_failures

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.settings import DecoderSettings
    from rag.knowledge import KnowledgeBase
    from rag.manifest import Manifest
    from rag.types import IndexReport

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """What the user said about the decoder; empty fields leave it to the settings.

    Attributes:
        base_url, model: a server and a model's name there.
        embedded: a folder with a model to run in process.
    """

    base_url: str = ""
    model: str = ""
    embedded: Path | None = None


def open_knowledge_base(name: str, decoder: Decoder | None = None) -> KnowledgeBase:
    """The knowledge base of this name; it is made when something is added to it."""
    from rag.knowledge import KnowledgeBase

    return KnowledgeBase(name, decoder=decoder)


def knowledge_bases() -> list[str]:
    """The names of all knowledge bases, sorted."""
    from rag.settings import rag_settings
    from rag.store import list_indexes

    return list_indexes(rag_settings())


def manifest(name: str) -> Manifest:
    """What a knowledge base says of itself; no model is loaded. Raises IndexNotFound."""
    from rag.settings import rag_settings
    from rag.store import open_store

    with closing(open_store(name, rag_settings())) as store:
        return store.manifest()


def forget(name: str) -> None:
    """Delete a whole knowledge base. Raises IndexNotFound, or IndexLocked while it is being written."""
    from rag.settings import rag_settings
    from rag.store import open_store

    with closing(open_store(name, rag_settings())) as store:
        store.manifest()  # for IndexNotFound
        store.delete()


def find_decoder(choice: DecoderChoice) -> Decoder | None:
    """The decoder that was asked for, else the settings' one, else a running `hearth serve`; None when there is none.

    Raises:
        UsageError: two decoders were asked for, or a model's name without a server.
    """
    if choice.embedded is not None:
        return _embedded(choice)
    settings = _settings(choice)
    if settings.base_url or settings.preset:
        from decoder.client import ServedDecoder

        return ServedDecoder.from_settings(settings)
    running = _running(choice.model)
    if running is None and choice.model:
        remedy = "Add --base-url, or start it with `hearth serve`"
        raise UsageError("choosing a decoder", f"no server is known that serves {choice.model}", remedy)
    return running


def _settings(choice: DecoderChoice) -> DecoderSettings:
    """The settings with what was asked for in their place; a server typed by hand gets no other server's key."""
    from decoder.settings import DecoderSettings, section

    settings = section("decoder", DecoderSettings)
    if choice.base_url and settings.base_url and choice.base_url.rstrip("/") != settings.base_url.rstrip("/"):
        settings = DecoderSettings(timeout=settings.timeout)
    return replace(settings, base_url=choice.base_url or settings.base_url, model=choice.model or settings.model)


def _running(model: str) -> Decoder | None:
    """The server that `hearth serve` started, when it runs (and has this model's name, if one is given)."""
    return None


def _embedded(choice: DecoderChoice) -> Decoder:
    step = "choosing a decoder"
    if choice.base_url or choice.model:
        raise UsageError(step, "--embedded was given together with --base-url or --model", "Give one of them")
    if choice.embedded is None or not choice.embedded.is_dir():
        raise UsageError(step, f"{choice.embedded} is not a folder", "Give a folder with config.json and safetensors")
    from decoder.embedded import EmbeddedDecoder

    return EmbeddedDecoder(choice.embedded)


def name_for(path: Path) -> str:
    """The knowledge base's name for a path: what it is called, and a few digits of where it is."""
    place = path.expanduser().resolve()
    stem = re.sub(r"[^a-z0-9]+", "-", place.stem.lower()).strip("-")[:32] or "documents"
    return f"{stem}-{hashlib.sha256(str(place).encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def read_documents(base: KnowledgeBase, paths: Sequence[Path]) -> IndexReport:
    """Index `paths` with a progress bar, and tell of what could not be read.

    Raises:
        UsageError: a path does not exist.
    """
    for path in paths:
        if not path.expanduser().exists():
            raise UsageError("reading documents", f"{path} does not exist", "Give a file or a folder")
    with progress_bar() as on_progress:
        report = base.add([path.expanduser() for path in paths], on_progress=on_progress)
    remark_failures(report)
    return report


def prepare(kb: str, docs: Path | None, decoder: Callable[[], Decoder | None]) -> KnowledgeBase:
    """The knowledge base that `--kb` or `--docs` means, with the documents of `--docs` read into it.

    Args:
        decoder: called for the decoder once the documents are known to exist.
    """
    if docs is None:
        return open_knowledge_base(kb, decoder())
    if kb != DEFAULT:
        raise UsageError("choosing a knowledge base", "--kb and --docs were both given", "Give one of them")
    base = open_knowledge_base(name_for(docs), decoder())
    report = read_documents(base, [docs])
    if report.added or report.updated or report.removed:
        remark(f"Read {docs}: {describe(report)}")
    return base
