"""The page Prompts: the library, values, previews with the cached prefix, trying one, copies of one's own."""

import threading

import pytest

import prompts
from decoder.base import run_sync
from decoder.errors import ConnectFailed, UsageError
from decoder.scripted import ScriptedDecoder
from prompts.errors import MalformedPrompt
from tests.browser.test_prompts_job import one_right_one_wrong
from ui.browser import opened, prompt_own, prompt_tokens
from ui.browser.prompt_attempt import Attempt, ask_often, ask_once
from ui.browser.prompt_data import MOST_BYTES, checked, rows_of
from ui.browser.prompt_values import value_of, written
from ui.browser.safe_text import safe_markdown
from ui.cli.wiring import DecoderChoice

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] [y](javascript:z) ![p](http://evil/p.png) `c` $e$"
OWN = """---
name: {name}
version: "1"
purpose: '{purpose}'
variables:
  question:
    type: string
    description: '{purpose}'
    example: '{example}'
---
## system
Be brief.

## user
Tell me: {{{{ question }}}}
"""


def own(name="mine", purpose="Mine.", example="Why?"):
    return OWN.format(name=name, purpose=purpose, example=example)


@pytest.fixture(autouse=True)
def _closed(home):
    """Decoders that a page opened hold no connections when the test is over."""
    yield
    for decoder in opened._decoders.values():
        decoder.close()


@pytest.fixture
def scripted(home, monkeypatch):
    """The page's decoder answers from a script."""

    def use(script):
        decoder = ScriptedDecoder(script)
        monkeypatch.setitem(opened._decoders, DecoderChoice(), decoder)
        return decoder

    return use


def shown(page):
    return [each.value for kind in (page.caption, page.text, page.markdown, page.code, page.info) for each in kind]


def test_the_library_opens_with_a_prompt_its_values_and_its_text(open_page, no_tiny):
    page = open_page("prompts")
    assert page.selectbox(key="prompt-chosen").value == "zero-shot-cot"
    assert len(page.selectbox(key="prompt-chosen").options) == len(prompts.library())
    assert page.text_area(key="prompt-value-zero-shot-cot-question").value.startswith("A shelf holds 4 rows")
    assert page.code[1].value.startswith("A shelf holds 4 rows")
    assert any("Estimated" in each.value for each in page.caption)
    assert any("Cached prefix ends here" in each.value for each in page.markdown)
    assert any("There is no decoder" in each.value for each in page.info)
    assert {each.proto.label for each in page.get("page_link")} == {"Start one on the page Health"}
    assert not page.error


def test_without_a_server_hearth_tiny_answers_and_is_loaded_once(open_page, tiny_stand_in):
    page = open_page("prompts")
    assert not page.info
    assert sum("hearth-tiny answers here" in each.value for each in page.caption) == 2  # to try, and to compare
    (decoder,) = opened._decoders.values()
    page.number_input(key="prompt-max-zero-shot-cot").set_value(4)
    page.button(key="prompt-run").click().run()
    held = page.session_state["prompt-attempt"][2]
    held.wait(60)
    assert held.error is None
    assert held.text
    assert list(opened._decoders.values()) == [decoder]


def test_a_value_changes_what_is_said_and_not_the_prefix(open_page, scripted):
    scripted([])
    page = open_page("prompts")
    before = page.caption[0].value
    assert "Estimated" not in before
    page.text_area(key="prompt-value-zero-shot-cot-question").set_value("Seven words are what this says now").run()
    assert page.code[1].value == "Seven words are what this says now"
    prefix = before.split("of which ")[1]
    assert page.caption[0].value.split("of which ")[1] == prefix
    assert page.caption[0].value != before


def test_a_required_value_that_is_missing_is_said(open_page):
    page = open_page("prompts")
    page.selectbox(key="prompt-chosen").set_value("react").run()
    assert not page.exception
    page.selectbox(key="prompt-chosen").set_value("grounded-answer").run()
    page.text_area(key="prompt-value-grounded-answer-history").set_value("no JSON").run()
    assert [each.value for each in page.error] == ["history is no JSON"]
    assert any("Mend the values" in each.value for each in page.caption)


@pytest.mark.parametrize("name", list(prompts.library()))
def test_every_prompt_of_the_library_can_be_written_into_the_form_and_read_back(name):
    prompt = prompts.load(name)
    values = {v.name: value_of(v, written(v)) for v in prompt.variables if written(v)}
    assert prompt.render(**values)


def test_one_answer_is_streamed_and_read(open_page, scripted):
    said = f"Four rows are 48. {HOSTILE}\n\nAnswer: 37"
    scripted([said])
    page = open_page("prompts")
    page.button(key="prompt-run").click().run()
    page.session_state["prompt-attempt"][2].wait(10)
    page.run()
    assert page.button(key="prompt-stop").disabled, "it keeps its place, so that nothing below it moves"
    assert "37" in [each.value for each in page.text]
    assert safe_markdown(said) in [each.value for each in page.markdown]


def test_votes_of_self_consistency_are_counted_and_samples_saved(open_page, scripted):
    scripted(lambda messages: "Answer: 37")
    page = open_page("prompts")
    page.radio(key="prompt-mode").set_value("often").run()
    page.slider(key="prompt-samples").set_value(10).run()
    page.button(key="prompt-run").click().run()
    page.session_state["prompt-attempt"][2].wait(10)
    page.run()
    metrics = {each.label: each.value for each in page.metric}
    assert metrics["Agreement"] == "100%"
    assert metrics["Samples drawn"] == "4 / 10"
    assert metrics["Samples saved"] == "6"
    assert "37" in [each.value for each in page.text]
    assert page.dataframe[-1].value["Samples"].tolist() == [4]


def test_a_decoder_that_fails_is_said_with_its_remedy(open_page, scripted):
    scripted([ConnectFailed("asking", "nobody is there", "Start it")])
    page = open_page("prompts")
    page.button(key="prompt-run").click().run()
    page.session_state["prompt-attempt"][2].wait(10)
    page.run()
    assert any("nobody is there" in each.value for each in page.error)
    assert any("Start it" in each.value for each in page.caption)


def test_an_answer_that_is_stopped_keeps_what_had_come_and_ends_the_request(mock_decoder):
    from decoder.client import ServedDecoder
    from decoder.types import Sampling

    mock_decoder.reply, mock_decoder.pace = lambda messages: "word " * 200, 0.02
    left, prompt = mock_decoder.left, prompts.load("zero-shot-cot")
    came = threading.Event()
    with ServedDecoder(mock_decoder.base_url, "mock", preset="openai") as decoder:
        attempt = ask_once(decoder, prompt, prompt.render(question="x"), Sampling())
        for _ in range(200):
            if attempt.text:
                break
            came.wait(0.02)
        attempt.stop()
        attempt.wait(5)
    mock_decoder.pace = 0.0
    assert attempt.text.startswith("word")
    assert not attempt.going
    for _ in range(100):
        if mock_decoder.left == left + 1:
            break
        came.wait(0.02)
    assert mock_decoder.left == left + 1


def test_a_bug_behind_an_attempt_is_not_swallowed(home):
    async def work(attempt):
        raise ZeroDivisionError

    attempt = Attempt().start(work)
    attempt.wait(5)
    with pytest.raises(ZeroDivisionError):
        attempt.check()
    attempt.check()  # once, or the page would fail for as long as the session lasts


def test_a_greedy_prompt_is_sampled_warmly():
    from decoder.types import Sampling

    decoder, prompt = ScriptedDecoder(lambda messages: "Answer: 5"), prompts.load("zero-shot-cot")
    attempt = ask_often(decoder, prompt, prompt.render(question="x"), Sampling(), "number", 5)
    attempt.wait(10)
    assert attempt.consensus.answer.key == "5"
    assert decoder.requests[0].sampling.temperature == 0.7


def test_tokens_are_counted_by_a_decoder_that_can_and_estimated_otherwise(mock_decoder):
    from decoder.client import ServedDecoder

    prompt = prompts.load("zero-shot-cot")
    messages = prompt.render(question="How many?")
    words = sum(len(message.text.split()) for message in messages)
    exact = prompt_tokens.count(ScriptedDecoder([]), messages, messages[:1])
    assert (exact.whole, exact.exact) == (words, True)
    with ServedDecoder(mock_decoder.base_url, "mock", preset="openai") as decoder:
        assert not prompt_tokens.count(decoder, messages, messages[:1]).exact
    with ServedDecoder(mock_decoder.base_url, "mock", preset="vllm") as decoder:
        assert run_sync(decoder.acounts_exactly())
    with ServedDecoder("http://127.0.0.1:9/v1", "gone", preset="openai") as decoder:
        assert prompt_tokens.count(decoder, messages, ()) == prompt_tokens.count(None, messages, ())


def test_a_copy_is_saved_chosen_edited_and_deleted(open_page, home):
    page = open_page("prompts")
    text = page.text_area(key="prompt-text-zero-shot-cot").value
    assert "name: zero-shot-cot-mine\n" in text
    page.button(key="prompt-save").click().run()
    assert page.selectbox(key="prompt-chosen").value == "zero-shot-cot-mine"
    assert prompts.load("zero-shot-cot-mine").purpose == prompts.load("zero-shot-cot").purpose
    edited = text.replace("on paper", "aloud")
    page.text_area(key="prompt-text-zero-shot-cot-mine").set_value(edited).run()
    page.button(key="prompt-save").click().run()
    assert "aloud" in page.code[0].value
    page.button(key="prompt-delete").click().run()
    assert page.selectbox(key="prompt-chosen").value == "zero-shot-cot"
    assert not (home / "prompts" / "zero-shot-cot-mine.md").exists()


def test_what_the_loader_cannot_read_is_not_saved(open_page, home):
    page = open_page("prompts")
    page.text_area(key="prompt-text-zero-shot-cot").set_value("no front matter").run()
    page.button(key="prompt-save").click().run()
    assert any("there is no front matter" in each.value for each in page.error)
    assert not (home / "prompts").exists()


def test_hostile_words_in_a_prompt_are_shown_letter_by_letter(open_page, home):
    prompt_own.save("", own(purpose=HOSTILE.replace("'", ""), example=HOSTILE.replace("'", "")))
    page = open_page("prompts")
    page.selectbox(key="prompt-chosen").set_value("mine").run()
    assert not page.exception
    assert HOSTILE in page.code[1].value + page.code[2].value
    assert HOSTILE in [each.value for each in page.text]
    assert not any("<img" in each.value for each in [*page.markdown, *page.caption, *page.subheader])


def test_a_file_that_cannot_be_read_does_not_take_the_page_away(open_page, home):
    (home / "prompts").mkdir()
    (home / "prompts" / "broken.md").write_text("nothing")
    page = open_page("prompts")
    page.selectbox(key="prompt-chosen").set_value("broken").run()
    assert any("no front matter" in each.value for each in page.error)
    assert page.text_area(key="prompt-text-broken").value == "nothing"


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "A", "x" * 65, "a\x00", "..", "a.md"])
def test_names_that_are_no_names_reach_no_file(home, name):
    assert not prompt_own.is_own("", name)
    with pytest.raises(UsageError):
        prompt_own.delete("", name)
    with pytest.raises((MalformedPrompt, UsageError)):
        prompt_own.save("", own(name=name))
    assert not list(home.rglob("*.md"))


def test_people_have_folders_of_their_own(home):
    prompt_own.save("u0123456789-", own())
    assert (home / "prompts" / "u0123456789" / "mine.md").is_file()
    assert "mine" in prompt_own.known("u0123456789-")
    assert "mine" not in prompt_own.known("uabcdefabcd-")
    with pytest.raises(UsageError, match="none of yours"):
        prompt_own.delete("uabcdefabcd-", "mine")


def test_a_taken_name_is_not_written_over(home):
    prompt_own.save("", own(purpose="First."))
    with pytest.raises(UsageError, match="already"):
        prompt_own.save("", own(purpose="Second."))
    with pytest.raises(UsageError, match="library"):
        prompt_own.save("", own(name="react"))
    prompt_own.save("", own(purpose="Second."), replaces="mine")
    assert prompts.load("mine").purpose == "Second."
    assert prompt_own.free_name("", "mine") == "mine-mine"


def test_uploaded_questions_are_bounded_and_checked():
    assert rows_of("q.CSV", b"question,answer\nWhy?,7\n") == '{"question": "Why?", "answer": "7"}\n'
    with pytest.raises(UsageError, match="larger than 1 MB"):
        rows_of("q.jsonl", b" " * (MOST_BYTES + 1))
    with pytest.raises(UsageError, match="not UTF-8"):
        rows_of("q.jsonl", b"\xff\xfe")
    with pytest.raises(UsageError, match="line 1"):
        checked('{"question": "no answer"}\n', [prompts.load("zero-shot-cot")], "number")


def test_a_comparison_is_started_and_its_figures_are_shown(open_page, scripted, mock_decoder, monkeypatch):
    from ui.browser import jobs

    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", mock_decoder.base_url)
    monkeypatch.setenv("HEARTH_DECODER_PRESET", "openai")
    mock_decoder.reply = one_right_one_wrong
    page = open_page("prompts")
    page.button(key="compare-start").click().run()
    job = jobs.wait(jobs.every("", "prompts")[0], 60)
    assert job.state == "done", jobs.output(job)
    page.run()
    table = page.dataframe[0].value
    assert table["Accuracy"].tolist() == ["100.0%", "0.0%"]
    assert table["Difference"].tolist() == ["–", "-100.0"]
    assert table["Its interval"].tolist() == ["–", "-100.0 to -100.0"]
    assert table["95% interval"].tolist()[0] == "75.8% to 100.0%"
    page.button(key="compare-remove").click().run()
    assert any("None yet" in each.value for each in page.caption)
