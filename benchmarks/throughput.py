"""Indexing against LlamaIndex's and LangChain's own pipelines: the same files, model, chunk size and machine.

    pip install -c constraints.txt -e '.[dev,bench]'
    pip install --no-deps langchain-huggingface==1.2.3    # it asks for an older huggingface_hub, and works with ours
    python -m benchmarks.throughput [--rounds 5] [--articles 13 | --book 3] [--threads 2]

Every run is a process of its own with an empty home, so that no cache is warm; the systems take turns within a round,
in an order that changes from round to round. The clock starts when everything is imported, the model is loaded and one
small text has been through it, and stops when the last passage is stored: ours on the disk, theirs in memory. Theirs
read plain text and batch 32 texts. "Whole" is the process from start to end, imports and loading included. CPU time
is of the process and its children. Ratios are geometric means over rounds with 95% intervals (Student's t on their
logarithms). "First words" is when a second reader first finds a passage by BM25, "all words" when it has found every
file (see `benchmarks.watch`); a peer finds nothing before it has embedded everything, so that its total is both.
Exit code 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.watch import Watch

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("HEARTH_TEST_DATA", ROOT.parent / "shared" / "data"))
CHUNK_TOKENS, CHUNK_OVERLAP, BATCH = 180, 30, 32
FASTER, SOONER = 1.5, 20.0
OURS, LLAMAINDEX, LANGCHAIN = "Hearth", "LlamaIndex", "LangChain"
PACKAGES = {OURS: (), LLAMAINDEX: ("llama_index.embeddings.huggingface",), LANGCHAIN: ("langchain_huggingface",)}


@dataclass(frozen=True, slots=True)
class Run:
    """One indexing: seconds of wall clock, of CPU, until words were found, of the whole process; passages."""

    wall: float
    cpu: float
    first: float
    complete: float
    passages: int
    whole: float = 0.0


def cpu_seconds() -> float:
    """Of this process, its threads and its children, those that ended included."""
    import psutil

    def used(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    here = psutil.Process()
    return used(here) + sum(used(child) for child in here.children(recursive=True))


def timed(work: Callable[[], int]) -> Run:
    """Run `work`, which returns how many passages it made."""
    cpu, started = cpu_seconds(), time.monotonic()
    passages = work()
    wall = time.monotonic() - started
    return Run(wall, cpu_seconds() - cpu, wall, wall, passages)


def run_hearth(folder: Path) -> Run:
    """`KnowledgeBase.add` as a user calls it, with the cache of embeddings switched on and empty."""
    from rag import KnowledgeBase

    with tempfile.TemporaryDirectory() as place, KnowledgeBase("warm") as warm:
        (Path(place) / "warm.txt").write_text("One short text.\n" * 200)
        warm.add(place)
        embedder = warm.embedder
    with KnowledgeBase("throughput", embedder=embedder) as base:
        watch = Watch(base, folder)
        watch.start()
        started = time.monotonic()
        found = timed(lambda: base.add(folder).passages)
        watch.stop()
    first, complete = (min(found.wall, moment - started) for moment in (watch.first, watch.complete))
    return replace(found, first=first, complete=complete)


def run_llamaindex(folder: Path) -> Run:
    """`IngestionPipeline` with SentenceSplitter and HuggingFaceEmbedding, into SimpleVectorStore."""
    from llama_index.core import Document
    from llama_index.core.ingestion import IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.vector_stores import SimpleVectorStore
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    model = HuggingFaceEmbedding(model_name=str(model_folder()), device="cpu", embed_batch_size=BATCH)
    tokenizer = plain_tokenizer()
    splitter = SentenceSplitter(chunk_size=CHUNK_TOKENS, chunk_overlap=CHUNK_OVERLAP, tokenizer=tokenizer)
    pipeline = IngestionPipeline(
        transformations=[splitter, model], vector_store=SimpleVectorStore(), disable_cache=True
    )
    model.get_text_embedding("warm")

    def work() -> int:
        documents = [Document(text=text, metadata={"source": name}) for name, text in texts(folder)]
        for document in documents:
            document.excluded_embed_metadata_keys = ["source"]
        return len(pipeline.run(documents=documents))

    return timed(work)


def run_langchain(folder: Path) -> Run:
    """RecursiveCharacterTextSplitter and HuggingFaceEmbeddings, into InMemoryVectorStore."""
    from langchain_core.documents import Document
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    model = HuggingFaceEmbeddings(
        model_name=str(model_folder()),
        model_kwargs={"device": "cpu"},
        encode_kwargs={"normalize_embeddings": True, "batch_size": BATCH},
    )
    tokenizer = plain_tokenizer()
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=CHUNK_TOKENS, chunk_overlap=CHUNK_OVERLAP, length_function=lambda text: len(tokenizer(text))
    )
    model.embed_documents(["warm"])

    def work() -> int:
        documents = [Document(text, metadata={"source": name}) for name, text in texts(folder)]
        return len(InMemoryVectorStore(model).add_documents(splitter.split_documents(documents)))

    return timed(work)


RUNNERS = {OURS: run_hearth, LLAMAINDEX: run_llamaindex, LANGCHAIN: run_langchain}


def model_folder() -> Path:
    from rag.embed_model import DEFAULT_MODEL, find_model

    return find_model(DEFAULT_MODEL)


def plain_tokenizer() -> Callable[[str], list[int]]:
    """The model's own tokenizer, so that a chunk is as long for the peers as for us."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.txt")):
        yield path.name, path.read_text(encoding="utf-8")


def write_articles(folder: Path, number: int) -> None:
    """The first SQuAD articles by name, a file each, paragraphs parted by blank lines."""
    rows = json.loads((DATA / "squad" / "squad-13-articles.json").read_text(encoding="utf-8"))
    articles = sorted(rows["data"] if isinstance(rows, dict) else rows, key=lambda article: article["title"])
    for article in articles[:number]:
        text = "\n\n".join(paragraph["context"] for paragraph in article["paragraphs"])
        (folder / f"{article['title']}.txt").write_text(text, encoding="utf-8")


def write_book(folder: Path, number: int) -> None:
    """One of the public-domain books, as one file."""
    with lzma.open(DATA / "books" / "books.jsonl.xz", "rt", encoding="utf-8") as file:
        book = next(json.loads(line) for at, line in enumerate(file) if at == number)
    (folder / "book.txt").write_text(book["text"], encoding="utf-8")


def child(system: str, folder: Path, threads: int) -> Run:
    """One run in a process of its own with an empty home."""
    with tempfile.TemporaryDirectory() as place:
        environment = os.environ | {
            "HEARTH_HOME": place,
            "HEARTH_RAG_CHUNK_TOKENS": str(CHUNK_TOKENS),
            "HEARTH_RAG_CHUNK_OVERLAP": str(CHUNK_OVERLAP),
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
        }
        command = [sys.executable, "-m", "benchmarks.throughput", "--child", system, str(folder)]
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3600)
    if done.returncode:
        raise SystemExit(f"{system} failed:\n{done.stderr[-2000:]}")
    return Run(**json.loads(done.stdout.splitlines()[-1]) | {"whole": time.monotonic() - started})


def installed(system: str) -> bool:
    try:
        return all(find_spec(package) is not None for package in PACKAGES[system])
    except ModuleNotFoundError:
        return False


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean and its 95% interval; one round has none."""
    from scipy.stats import t

    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), math.nan, math.nan
    half = float(t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def report(runs: dict[str, list[Run]], characters: int) -> bool:
    """Print medians and ratios; whether every target was reached."""
    columns = ("wall", "cpu", "whole", "first", "complete")
    titles = ("wall, s", "CPU, s", "whole, s", "first words, s", "all words, s")
    print(f"{'medians':12}{'passages':>9}" + "".join(f"{title:>16}" for title in titles) + f"{'kB/CPU s':>10}")
    for system, found in runs.items():
        medians = [statistics.median(getattr(run, column) for run in found) for column in columns]
        rate = characters / 1000 / medians[1]
        print(f"{system:12}{found[0].passages:>9}" + "".join(f"{each:>16.2f}" for each in medians) + f"{rate:>10.1f}")
    reached = True
    for system in (name for name in runs if name != OURS):
        pairs = list(zip(runs[system], runs[OURS], strict=True))
        for label, target, ratios in (
            ("wall time", FASTER, [peer.wall / ours.wall for peer, ours in pairs]),
            ("CPU time", FASTER, [peer.cpu / ours.cpu for peer, ours in pairs]),
            ("whole process", FASTER, [peer.whole / ours.whole for peer, ours in pairs]),
            ("first words", SOONER, [peer.first / ours.first for peer, ours in pairs]),
            ("all words", SOONER, [peer.complete / ours.complete for peer, ours in pairs]),
        ):
            mean, low, high = interval(ratios)
            reached &= mean >= target
            print(f"{system} / Hearth, {label:18}{mean:>7.2f}  [{low:.2f}, {high:.2f}]  target {target:g}")
    return reached


def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--articles", type=int, default=13)
    parser.add_argument("--book", type=int, default=None)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--child", nargs=2, metavar=("SYSTEM", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        system, folder = arguments.child
        print(json.dumps(asdict(RUNNERS[system](Path(folder)))))
        return 0
    systems = [system for system in RUNNERS if installed(system)]
    for system in RUNNERS.keys() - set(systems):
        print(f"{system} is left out: not installed (see the head of this file)")
    runs: dict[str, list[Run]] = {system: [] for system in systems}
    with tempfile.TemporaryDirectory() as place:
        write_articles(Path(place), arguments.articles) if arguments.book is None else write_book(
            Path(place), arguments.book
        )
        characters = sum(len(text) for _, text in texts(Path(place)))
        print(f"{characters / 1000:.0f} kB of text; {os.cpu_count()} CPUs, {arguments.threads} threads, ", end="")
        print(f"load {os.getloadavg()[0]:.1f}; {arguments.rounds} rounds")
        for number in range(arguments.rounds):
            order = random.Random(number).sample(systems, len(systems))
            for system in order:
                runs[system].append(run := child(system, Path(place), arguments.threads))
                words = f"words after {run.first:.2f} to {run.complete:.2f} s"
                print(f"  {system}: {run.wall:.1f} s, {run.cpu:.1f} s of CPU, {words}", file=sys.stderr, flush=True)
    return 0 if report(runs, characters) else 1


if __name__ == "__main__":
    sys.exit(main())
