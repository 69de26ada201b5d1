import importlib.util
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from decoder.errors import UsageError
from rag.types import Answer, AnswerDelta, Citation, Hit, IndexReport, Passage
from ui.cli import wiring
from ui.cli.main import main

TEXT = "The rent is 900 euros."
CITATION = Citation(1, TEXT, "lease.pdf", "Lease", 10, 32, 3, 3, page=2, passage_id="p1")
PASSAGE = Passage("p1", TEXT, "lease.pdf", "Lease", 10, 32, 3, 3, page=2)
ANSWER = Answer("The rent is 900 euros [1].", (CITATION,), 0.9, (Hit(PASSAGE, 0.5),), generated=True)
REFUSAL = Answer("The documents do not say.", refused=True)


@dataclass
class FakeBase:
    """A knowledge base that knows one lease; a question about the moon is refused."""

    name: str = "default"
    decoder: object = None
    answers: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    report: IndexReport = field(default_factory=lambda: IndexReport(added=("lease.pdf",), passages=1, seconds=0.1))

    def add(self, paths, on_progress=None, *, rebuild=False, labels=None, selection=None):
        for path in paths:
            if not path.exists():
                raise UsageError("reading documents", f"{path} does not exist", "Give a file or a folder")
        self.calls.append(("add", tuple(str(path) for path in paths)))
        return self.report

    def search(self, query, limit=None, sources=None, *, where=None, options=None):
        self.calls.append(("search", query, options))
        return [Hit(PASSAGE, 0.5, dense=0.7, sparse=3.2)][: limit or options.limit]

    def explain(self, query, limit=None, *, where=None, options=None):
        from rag.explain import Explanation, QueryReason, Reason

        (hit,) = self.search(query, options=options)
        said = QueryReason(query, 0.7, 1, 3.2, 2, {"dense": 0.4, "sparse": 0.1}, 1, ("rent",), ("moon",))
        merged = ("lease.pdf, page 2",) if options.parents else ()
        reason = Reason(hit, 1, (said,), 1, 0.5, None, None, 1, merged)
        return Explanation((query,), ("author=Ann",), "", options.diversity, (reason,))

    def ask(self, question, history=()):
        return self.answers.get(question, REFUSAL if "moon" in question else ANSWER)

    def stream(self, question, history=()):
        self.calls.append(("stream", question, tuple(history)))
        answer = self.ask(question)
        if isinstance(answer, BaseException):
            yield AnswerDelta("The rent")
            raise answer
        for word in answer.text.split(" "):
            yield AnswerDelta(word + " ")
        yield answer

    def open(self, citation):
        return f"2  Before.\n3  {citation.quote}\n4  After."

    def remove(self, source):
        self.calls.append(("remove", source))

    def close(self):
        self.calls.append(("close",))


@pytest.fixture(autouse=True)
def house(tmp_path, monkeypatch):
    """No settings of whoever runs the tests, and an empty home."""
    import os

    for variable in [name for name in os.environ if name.startswith("HEARTH_") and name != "HEARTH_TEST_DATA"]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake(monkeypatch):
    """The knowledge base that commands open, and all that were opened under another name."""
    base = FakeBase()
    opened = {"default": base}

    def open_fake(name, decoder=None, beside=None):
        found = opened.setdefault(name, FakeBase(name))
        found.decoder = decoder
        return found

    base.opened = opened
    monkeypatch.setattr(wiring, "open_knowledge_base", open_fake)
    monkeypatch.setattr(wiring, "knowledge_bases", lambda: sorted(opened))
    monkeypatch.setattr(wiring, "find_decoder", lambda choice: None)
    return base


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def hearth(capsys):
    """Runs `hearth` in this process."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def tiny():
    """Decoders and wordings for the tests of hearth-tiny: `tiny_support.py`."""
    spec = importlib.util.spec_from_file_location("tiny_support", Path(__file__).with_name("tiny_support.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
