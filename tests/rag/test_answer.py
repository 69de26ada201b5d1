"""Answers from a folder of three small documents, with the real embedding model; no decoder, then a scripted one."""

import pytest

from decoder.errors import ConnectFailed
from decoder.scripted import ScriptedDecoder
from decoder.types import Finished, TextDelta, assistant, user
from prompts.grounded import REFUSAL
from rag import Answer, AnswerDelta, KnowledgeBase
from rag.embed import SentenceEmbedder
from rag.errors import QuestionTooLong
from rag.extract import MOST_WORDS
from rag.followup import standalone
from rag.settings import RagSettings
from rag.store import open_store
from rag.support import NEEDED, assess

DOCUMENTS = {
    "archiver.md": """# Paperbird archiver

Paperbird keeps copies of letters and invoices and finds them again.

## Indexing

To index a folder, run `paperbird index FOLDER`. Files of more than 50 MB are skipped. Indexing a thousand letters takes
about four minutes on a laptop.

## Searching

Type `paperbird find WORDS` to search. Put a minus before a word to leave it out.

## Backups

A backup is written every night at 02:30 to the folder `~/paperbird-backup`. Old backups are deleted after 14 days,
because the disk would fill up otherwise.
""",
    "lease.txt": """The flat in Garden Street 7 is let to Maria Lindqvist from 1 April 2024.

The rent is 900 euros a month and is due on the third working day. The deposit is three months' rent.

Pets need the landlord's written consent. The landlord is Olaf Henriksen.
""",
    "bread.md": """# Rye bread

Mix 500 g of rye flour, 400 ml of warm water and 100 g of sourdough. Let the dough rest for twelve hours.

Bake the loaf for 55 minutes at 220 degrees. It is done when it sounds hollow.
""",
}

ANSWERABLE = [
    ("How do I index a folder?", "paperbird index FOLDER"),
    ("index folder", "paperbird index FOLDER"),
    ("Tell me how long indexing a thousand letters takes.", "four minutes"),
    ("What is the largest file that is indexed?", "50 MB"),
    ("When is the backup written?", "02:30"),
    ("Where do backups go?", "~/paperbird-backup"),
    ("Why are old backups deleted?", "disk would fill up"),
    ("Are old backups deleted?", "deleted after 14 days"),
    ("Who is the landlord?", "Olaf Henriksen"),
    ("How much is the rent?", "900 euros"),
    ("rent due date", "third working day"),
    ("May I keep pets in the flat?", "written consent"),
    ("How hot must the oven be for rye bread?", "220 degrees"),
    ("How long does the dough rest?", "twelve hours"),
    ("Who lives in Garden Street 7?", "Maria Lindqvist"),
]
UNANSWERABLE = [
    "Who won the world cup in 2018?",
    "What is the capital of Mongolia?",
    "How do I change a bicycle tyre?",
    "When was the French Revolution?",
    "How many moons does Jupiter have?",
    "price of bitcoin",
    "train timetable",
    "Is the earth flat?",
    "Write a poem about the sea",
    "Why is the sky blue?",
    "Where can I renew my passport?",
    "???",
]


@pytest.fixture(scope="module")
def model():
    return SentenceEmbedder()


@pytest.fixture(scope="module")
def base(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    for name, text in DOCUMENTS.items():
        (folder / name).write_text(text)
    with KnowledgeBase("three", embedder=model, store=open_store("three", RagSettings(store="memory"))) as opened:
        assert len(opened.add(folder).added) == 3
        yield opened


@pytest.fixture
def ask_with(base):
    """The same documents, answered by a decoder that reads from a script."""

    def make(script, **options):
        decoder = ScriptedDecoder(script, **options)
        return KnowledgeBase("three", decoder=decoder, embedder=base.embedder, store=base.store), decoder

    return make


@pytest.mark.parametrize(("question", "words"), ANSWERABLE)
def test_what_the_documents_say_is_quoted(base, question, words):
    answer = base.ask(question)
    assert words in answer.text
    assert not answer.refused
    assert not answer.generated
    assert len(answer.text.split()) <= MOST_WORDS + 4  # and two markers
    for cited in answer.citations:
        assert cited.quote in answer.text
        assert f"[{cited.marker}]" in answer.text
        assert base.store.text(cited.source)[cited.start : cited.end] == cited.quote


@pytest.mark.parametrize("question", UNANSWERABLE)
def test_what_they_do_not_say_is_refused(base, question):
    answer = base.ask(question)
    assert answer.refused
    assert (answer.text, answer.citations) == (REFUSAL, ())
    assert answer.confidence < NEEDED
    assert answer.passages


def test_confidence_does_not_depend_on_how_much_else_is_indexed(base):
    hits = base.search("How much is the rent?")
    alone = [hit for hit in hits if hit.passage.source.endswith("lease.txt")]
    of_all, of_one = (assess("How much is the rent?", found, base.embedder).confidence for found in (hits, alone))
    assert abs(of_all - of_one) < 0.1


def test_nothing_found_is_no_support(base):
    assert assess("What is the rent?", [], base.embedder).confidence == 0.0


def test_a_stream_brings_the_text_and_then_the_answer(base):
    *deltas, answer = base.stream("How much is the rent?")
    assert "".join(delta.text for delta in deltas) == answer.text
    assert all(isinstance(delta, AnswerDelta) for delta in deltas)
    assert isinstance(answer, Answer)
    assert set(answer.timings) == {"retrieve", "answer", "total"}


async def test_the_async_twins_answer_alike(base):
    answer = await base.aask("How much is the rent?")
    parts = [part async for part in base.astream("How much is the rent?")]
    assert parts[-1].text == answer.text == base.ask("How much is the rent?").text


def test_a_decoder_answers_and_its_citation_is_located(ask_with):
    base, decoder = ask_with(lambda messages: f"Rent: 900 euros a month [{number_of('900 euros', messages)}].")
    *deltas, answer = base.stream("How much is the rent?")
    assert len(deltas) > 2
    assert answer.generated
    assert [c.quote for c in answer.citations] == ["The rent is 900 euros a month and is due on the third working day."]
    assert 0.5 < answer.confidence <= 1
    (request,) = decoder.requests
    assert request.messages[-1].text.endswith("Question: How much is the rent?")
    assert request.sampling.temperature == 0.0


def test_a_decoder_that_makes_things_up_is_not_believed(ask_with):
    base, _ = ask_with(["The rent is 750 euros and includes a sauna [1]."])
    *deltas, answer = base.stream("How much is the rent?")
    assert deltas
    assert answer.refused
    assert answer.generated
    assert (answer.text, answer.citations) == (REFUSAL, ())
    assert answer.passages


def test_without_support_the_decoder_is_not_even_asked(ask_with):
    base, decoder = ask_with([])
    assert base.ask("Who won the world cup in 2018?").refused
    assert decoder.requests == []


def test_a_decoder_may_say_that_the_documents_do_not(ask_with):
    base, _ = ask_with([REFUSAL])
    assert base.ask("Who is the landlord's wife?").refused


def test_the_lowest_passages_make_room_first(ask_with):
    base, decoder = ask_with(lambda messages: "none")
    answer = base.ask("How much is the rent?")
    many = decoder.requests[0].messages
    words = sum(len(message.text.split()) for message in many)
    base, decoder = ask_with(lambda messages: "none", context_length=words)
    base.ask("How much is the rent?")
    few = decoder.requests[0].messages
    assert 1 <= few[-1].text.count("<<<passage") < many[-1].text.count("<<<passage") == len(answer.passages)
    assert answer.passages[0].passage.text.split()[0] in few[-1].text


def test_the_last_passage_is_cut_to_fit(ask_with):
    whole = len(" ".join(m.text for m in grounded_messages(ask_with)).split())
    base, decoder = ask_with(lambda messages: "none", context_length=round(whole * 4 / 3) - 24)
    base.ask("How much is the rent?")
    shown = decoder.requests[0].messages[-1].text
    assert shown.count("<<<passage") == 1
    assert "Henriksen" not in shown
    assert "The flat in Garden Street 7" in shown


def grounded_messages(ask_with):
    """The prompt with the best passage alone."""
    from prompts.grounded import grounded_answer

    base, _ = ask_with([])
    best = base.search("How much is the rent?")[0].passage
    return grounded_answer("How much is the rent?", [best.text], [best.location])


def test_a_question_that_does_not_fit_is_an_error_before_any_token(ask_with):
    base, decoder = ask_with([], context_length=200)
    with pytest.raises(QuestionTooLong, match="longer context"):
        base.ask("How much is the rent?")
    assert decoder.requests == []


def test_old_turns_make_room_before_passages(ask_with):
    history = (user("Who is the tenant? " * 300), assistant("Maria [1]."), user("And before?"), assistant("Nobody."))
    base, decoder = ask_with(lambda messages: "none", context_length=1600)
    base.ask("How much is the rent?", history)
    messages = decoder.requests[0].messages
    assert [m.text for m in messages[1:-1]] == ["And before?", "Nobody."]


def test_an_error_of_the_decoder_is_passed_on_after_what_was_written(ask_with):
    class Dying(ScriptedDecoder):
        async def astream(self, prompt, **options):
            yield TextDelta("The rent")
            raise ConnectFailed("asking", "the server went away")

    base, _ = ask_with([])
    base.decoder = Dying([])
    parts = []
    with pytest.raises(ConnectFailed):
        parts.extend(base.stream("How much is the rent?"))
    stream = base.stream("How much is the rent?")
    assert next(stream) == AnswerDelta("The rent")
    stream.close()


def test_leaving_a_stream_early_stops_the_decoder(ask_with):
    closed = []

    class Endless(ScriptedDecoder):
        async def astream(self, prompt, **options):
            try:
                for _ in range(1000):
                    yield TextDelta("more ")
                yield Finished(await self.acomplete(prompt))
            finally:
                closed.append(True)

    base, _ = ask_with([])
    base.decoder = Endless([])
    stream = base.stream("How much is the rent?")
    next(stream)
    stream.close()
    assert closed == [True]


def test_a_question_that_leans_on_the_last_one_is_searched_with_it(base):
    history = (user("How long must rye bread bake?"), assistant("55 minutes [1]."))
    assert standalone("And at what temperature?", history).startswith("How long must rye bread bake?")
    assert standalone("Who is the landlord of the flat?", history) == "Who is the landlord of the flat?"
    assert standalone("And at what temperature?", ()) == "And at what temperature?"
    assert "220 degrees" in base.ask("And at what temperature?", history).text


def number_of(words, messages):
    """The number of the passage in the prompt that holds these words."""
    before = messages[-1].text[: messages[-1].text.index(words)]
    return before.rpartition("<<<passage ")[2].split()[0]
