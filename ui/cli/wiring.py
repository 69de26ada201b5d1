"""Where the command line meets the other rooms: which knowledge base, which decoder. Tests put theirs in here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from decoder import tiny
from decoder.alias import DEFAULT as DEFAULT_MODEL
from decoder.base import run_sync
from decoder.errors import UsageError
from decoder.settings import home
from ui.cli.output import describe, progress_bar, remark, remark_failures

if TYPE_CHECKING:
    from decoder.base import Decoder
    from decoder.server import ServerStatus
    from decoder.settings import DecoderSettings
    from rag.index import Selection
    from rag.knowledge import KnowledgeBase
    from rag.labels import Labels
    from rag.manifest import Manifest
    from rag.types import IndexReport, Value

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """What the user said about the decoder; empty fields leave it to the settings.

    Attributes:
        base_url, model: a server and a model's name there.
        embedded: a folder with a model to run in process, or hearth-tiny.
    """

    base_url: str = ""
    model: str = ""
    embedded: Path | None = None


def open_knowledge_base(
    name: str, decoder: Decoder | None = None, beside: KnowledgeBase | None = None
) -> KnowledgeBase:
    """The knowledge base of this name; it is made when something is added to it.

    Args:
        beside: one that is open; its embedding model is used again, because loading one takes seconds.
    """
    from rag.knowledge import KnowledgeBase

    return KnowledgeBase(name, decoder=decoder, embedder=beside.embedder if beside is not None else None)


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
        UsageError: two decoders were asked for, a model's name without a server, or several servers run.
    """
    if choice.embedded is not None:
        return _embedded(choice)
    settings = _settings(choice)
    if not choice.base_url and (settings.base_url or settings.preset):
        return _served(settings)
    running = _running(choice)
    if running is not None or not choice.base_url:
        return running
    return _served(settings)


def find_decoder_or_tiny(choice: DecoderChoice) -> Decoder | None:
    """As `find_decoder`; where there is none, hearth-tiny in process, said in a line. None when it cannot run either.

    For work that needs a decoder. What can be quoted from documents is better quoted.
    """
    found = find_decoder(choice)
    if found is not None or not tiny.is_usable():
        return found
    from decoder.embedded import EmbeddedDecoder

    remark(f"No server runs: {tiny.NAME}, a very small model, answers. `hearth serve MODEL` starts a better one.")
    return EmbeddedDecoder(tiny.path())


@contextmanager
def measured_decoder(choice: DecoderChoice, step: str, naming: str) -> Iterator[Decoder]:
    """The decoder to measure, hearth-tiny where there is no other; closed at the end. Raises UsageError for none.

    Args:
        naming: how this command is told of one, as the remedy begins.
    """
    decoder = find_decoder_or_tiny(choice)
    if decoder is None:
        raise UsageError(step, "there is no decoder", f"{naming}, or start one: hearth serve")
    with closing(decoder):
        run_sync(decoder.apinned())  # the figures are of one model, also when another is promoted meanwhile
        yield decoder


def _served(settings: DecoderSettings) -> Decoder:
    from decoder.client import ServedDecoder

    return ServedDecoder.from_settings(settings)


def _settings(choice: DecoderChoice) -> DecoderSettings:
    """The settings with what was asked for in their place; a server typed by hand gets no other server's key."""
    from decoder.settings import DecoderSettings, section

    settings = section("decoder", DecoderSettings)
    if choice.base_url and settings.base_url and choice.base_url.rstrip("/") != settings.base_url.rstrip("/"):
        settings = DecoderSettings(timeout=settings.timeout)
    return replace(settings, base_url=choice.base_url or settings.base_url, model=choice.model or settings.model)


def _running(choice: DecoderChoice) -> Decoder | None:
    """The server of `hearth serve` that has the address or the model asked for, with its key.

    Raises:
        UsageError: several could be meant, or none serves the model asked for and no address was given.
    """
    step, found = "choosing a decoder", [entry for entry in _servers() if _fits(entry, choice)]
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise UsageError(step, f"several servers run: {names}", "Name a model with --model, or give --base-url")
    if not found:
        if choice.model and not choice.base_url:
            remedy = "Add --base-url, or start it with `hearth serve`"
            raise UsageError(step, f"no server is known that serves {choice.model}", remedy)
        return None
    from decoder.client import ServedDecoder
    from decoder.server import attach

    server = attach(found[0].name)
    return ServedDecoder(server.base_url, choice.model, preset="vllm", api_key=server.api_key)


def _servers() -> Sequence[ServerStatus]:
    """The servers that answer. Nothing is imported, asked or written where none was ever started."""
    if not (home() / "servers").is_dir():
        return ()
    from decoder.server import servers

    return [entry for entry in servers() if entry.condition in ("healthy", "unsupervised") and entry.models]


def _fits(entry: ServerStatus, choice: DecoderChoice) -> bool:
    if choice.base_url:
        return entry.base_url == choice.base_url.rstrip("/")
    return choice.model in ("", DEFAULT_MODEL, *entry.models)


def _embedded(choice: DecoderChoice) -> Decoder:
    step = "choosing a decoder"
    if choice.base_url or choice.model:
        raise UsageError(step, "--embedded was given together with --base-url or --model", "Give one of them")
    if choice.embedded is None or not Path(tiny.resolve(choice.embedded)).is_dir():
        raise UsageError(step, f"{choice.embedded} is not a folder", "Give a folder with config.json and safetensors")
    from decoder.embedded import EmbeddedDecoder

    return EmbeddedDecoder(choice.embedded)


def name_for(path: Path) -> str:
    """The knowledge base's name for a path: what it is called, and a few digits of where it is."""
    place = path.expanduser().resolve()
    stem = re.sub(r"[^a-z0-9]+", "-", place.stem.lower()).strip("-")[:32] or "documents"
    return f"{stem}-{hashlib.sha256(str(place).encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def labels(tenant: str, readers: Sequence[str], metadata: Sequence[str]) -> Labels | None:
    """What the command line says of documents; None when it says nothing, so that they keep what they have.

    Raises:
        UsageError: a name that cannot be one, or metadata that is no key=value.
    """
    if not (tenant or readers or metadata):
        return None
    from rag.filters import parse_where
    from rag.labels import Labels

    known: dict[str, Value] = {}
    for condition in parse_where(metadata).conditions:
        if len(condition.any_of) != 1:
            raise UsageError("labelling", f"{condition.field} has no single value", "Write key=value")
        known[condition.field] = condition.any_of[0]
    return Labels(tenant, tuple(readers), known)


def selection(include: Sequence[str], exclude: Sequence[str], gitignore: bool) -> Selection:
    """Which files of folders the command line wants."""
    from rag.index import Selection

    return Selection(tuple(include), tuple(exclude), gitignore)


def read_documents(
    base: KnowledgeBase,
    paths: Sequence[Path],
    rebuild: bool = False,
    labels: Labels | None = None,
    selection: Selection | None = None,
) -> IndexReport:
    """Index `paths` with a progress bar, and tell of what could not be read. Raises UsageError for a missing path."""
    with progress_bar() as on_progress:
        report = base.add(paths, on_progress, rebuild=rebuild, labels=labels, selection=selection)
    remark_failures(report)
    return report


def read_sources(
    base: KnowledgeBase,
    sources: Sequence[str],
    sitemap: bool,
    rebuild: bool,
    labels: Labels | None,
    selection: Selection,
) -> IndexReport:
    """Index files, folders and web addresses; raises UsageError for what cannot be meant."""
    from rag.web import is_url

    urls, paths = [s for s in sources if is_url(s)], [Path(s) for s in sources if not is_url(s)]
    if sitemap and not urls:
        raise UsageError("indexing", "--sitemap was given without an address", "Give the sitemap's address")
    if rebuild and urls:
        raise UsageError("indexing", "--rebuild was given with an address", "Rebuild with files, then add addresses")
    report = read_documents(base, paths, rebuild, labels, selection) if paths else None
    if not urls:
        assert report is not None  # noqa: S101  # the command line wants one source at least
        return report
    with progress_bar() as on_progress:
        fetched = base.add_urls(urls, on_progress, sitemap=sitemap, labels=labels)
    remark_failures(fetched)
    return fetched if report is None else _together(report, fetched)


def _together(one: IndexReport, two: IndexReport) -> IndexReport:
    """Two reports as one."""
    return replace(
        one,
        added=one.added + two.added,
        updated=one.updated + two.updated,
        unchanged=one.unchanged + two.unchanged,
        passages=one.passages + two.passages,
        failed={**one.failed, **two.failed},
        seconds=one.seconds + two.seconds,
    )


def read_on_ray(
    kb: str, sources: Sequence[str], rebuild: bool, labels: Labels | None, selection: Selection, address: str = ""
) -> IndexReport:
    """Index files and folders on Ray's workers, at `address` or at the settings' one.

    Raises:
        UsageError: a web address is among them, or the settings' store is no server.
    """
    from rag.ray_engine import index_on_ray
    from rag.settings import rag_settings
    from rag.web import is_url

    if any(map(is_url, sources)):
        raise UsageError("indexing with Ray", "it reads files, not web addresses", "Index those without --engine ray")
    settings = rag_settings()
    settings = replace(settings, ray_address=address or settings.ray_address)
    with progress_bar() as on_progress:
        report = index_on_ray([Path(s) for s in sources], kb, settings, on_progress, rebuild, labels, selection)
    remark_failures(report)
    return report


def prepare(kb: str, docs: Path | None, decoder: Decoder | None) -> KnowledgeBase:
    """The knowledge base that `--kb` or `--docs` means, with the documents of `--docs` read into it."""
    if docs is None:
        return open_knowledge_base(kb, decoder)
    if kb != DEFAULT:
        raise UsageError("choosing a knowledge base", "--kb and --docs were both given", "Give one of them")
    base = open_knowledge_base(name_for(docs), decoder)
    report = read_documents(base, [docs])
    if not (report.added or report.updated or report.unchanged or report.duplicates):
        cause = f"no document there could be read ({describe(report)})"
        raise UsageError(f"reading {docs}", cause, "Give a folder with text, Markdown, HTML, PDF or office files")
    if report.added or report.updated or report.removed:
        remark(f"Read {docs}: {describe(report)}")
    return base
