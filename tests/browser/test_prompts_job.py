"""Comparisons as jobs: exact figures, a killed one that is gone on with, and the journey in a browser."""

import json
import time

import pytest

from prompts.variants import ARITHMETIC
from ui.browser import jobs, opened, prompt_job, prompt_own
from ui.browser.job_process import Running
from ui.browser.prompt_compare import labels

ANSWERS = {row["question"]: row["answer"] for row in map(json.loads, ARITHMETIC.read_text().splitlines())}


def one_right_one_wrong(messages):
    """Right where the system turn is that of zero-shot-cot, wrong otherwise."""
    said = messages[-1]["content"]
    right = "on paper" in messages[0]["content"]
    return f"Some steps.\nAnswer: {ANSWERS[said] if right else 1000}"


def right_but_for_four(messages):
    """Right, but wrong on four questions where the system turn is that of few-shot-cot."""
    said = messages[-1]["content"]
    wrong = "on paper" not in messages[0]["content"] and list(ANSWERS).index(said) % 3 == 0
    return f"Answer: {1000 if wrong else ANSWERS[said]}"


@pytest.fixture(autouse=True)
def _closed(home):
    """Decoders that a page opened hold no connections when the test is over."""
    yield
    for decoder in opened._decoders.values():
        decoder.close()


@pytest.fixture
def served(home, monkeypatch, mock_decoder):
    """Jobs find the mock decoder."""
    monkeypatch.setenv("HEARTH_DECODER_BASE_URL", mock_decoder.base_url)
    monkeypatch.setenv("HEARTH_DECODER_PRESET", "openai")
    mock_decoder.pace = 0.0
    mock_decoder.asked.clear()
    return mock_decoder


def spec(*variants, **more):
    asked = [
        {
            "label": f"{name} {how} {n}",
            "name": name,
            "technique": how,
            "samples": n,
            "text": prompt_own.text_of("", name),
        }
        for name, how, n in variants
    ]
    return {"variants": asked, "rows": ARITHMETIC.read_text(), "answer": "number", **more}


TWO = (("zero-shot-cot", "plain", 1), ("few-shot-cot", "plain", 1))


def test_accuracy_and_the_paired_difference_are_exact(served, tmp_path):
    served.reply = right_but_for_four
    result = prompt_job.run(spec(*TWO), Running(tmp_path))
    first, second = result["variants"]
    assert (result["questions"], result["shown"], result["model"]) == (12, 0, "mock")
    assert first["summary"]["accuracy"]["value"] == 1.0
    assert second["summary"]["accuracy"]["value"] == pytest.approx(8 / 12)
    difference = second["difference"]["accuracy"]
    assert difference["value"] == pytest.approx(-4 / 12)
    assert difference["low"] < -4 / 12 < difference["high"] < 0
    assert [row["id"] for row in result["rows"]] == ["jars", "train", "ticket", "cloth"]
    assert [each["answer"] for each in result["rows"][0]["answers"]] == ["37", "1000"]
    assert first["difference"] == {}


def test_few_shot_shows_questions_and_self_consistency_draws_samples(served, tmp_path):
    served.reply = right_but_for_four
    result = prompt_job.run(
        spec(("zero-shot-cot", "few-shot", 1), ("zero-shot-cot", "chain of thought", 5)), Running(tmp_path)
    )
    assert (result["questions"], result["shown"]) == (9, 3)
    assert result["variants"][1]["summary"]["samples"]["value"] == 4.0  # all of the first window agreed
    assert any(len(asked["messages"]) == 8 for asked in served.asked)


def test_progress_is_told_by_variant(served, tmp_path):
    served.reply = right_but_for_four
    job = Running(tmp_path)
    prompt_job.run(spec(*TWO), job)
    job.tell(now=True)
    told = json.loads((tmp_path / "progress.json").read_text())
    assert (told["number"], told["variants"], told["done"], told["total"], told["share"]) == (2, 2, 12, 12, 1.0)


def test_the_model_that_the_page_found_is_asked_in_the_jobs_process(home, tiny_stand_in, tmp_path):
    result = prompt_job.run({**spec(*TWO), "embedded": "hearth-tiny", "max_tokens": 2}, Running(tmp_path))
    assert result["model"] == tiny_stand_in.name
    assert all(each["summary"]["completion_tokens"]["value"] <= 2 for each in result["variants"])


def test_without_a_decoder_a_comparison_fails_with_a_remedy(home):
    job = jobs.wait(jobs.start("prompts", "It", spec(*TWO)), 60)
    assert job.state == "failed"
    assert job.error["cause"] == "there is no decoder"
    assert "Health" in job.error["remedy"] or "health" in job.error["remedy"]


def test_a_killed_comparison_is_shown_as_such_and_gone_on_with(served, open_page):
    served.reply = lambda messages: time.sleep(0.05) or right_but_for_four(messages)
    job = jobs.start("prompts", "<b>It</b>", spec(*TWO, concurrency=1))
    deadline = time.monotonic() + 60
    while jobs.find(job.id).progress.get("number") != 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    jobs.kill(job)
    job = jobs.wait(job, 10)
    assert job.state == "killed"
    page = open_page("prompts")
    assert any("it was killed" in each.value for each in page.warning)
    asked = len(served.asked)
    assert asked >= 12
    page.button(key="compare-resume").click().run()
    newest = next(each for each in jobs.every("", "prompts") if each.id != job.id)
    done = jobs.wait(newest, 60)
    assert done.state == "done", jobs.output(done)
    assert done.spec["resumes"] == job.id
    assert done.result["variants"][0]["resumed"] == 12
    assert len(served.asked) - asked <= 12
    assert done.result["variants"][1]["summary"]["accuracy"]["value"] == pytest.approx(8 / 12)


def test_a_running_comparison_shows_how_far_it_is_and_can_be_stopped(served, open_page):
    served.reply = lambda messages: time.sleep(0.2) or right_but_for_four(messages)
    job = jobs.start("prompts", "It", spec(*TWO, concurrency=1))
    page = open_page("prompts")
    assert any("running" in each.value or "starting" in each.value for each in page.markdown)
    page.button(key=f"compare-stop-{job.id}").click().run()
    assert jobs.wait(job, 30).state == "stopped"


def test_variants_that_would_be_called_the_same_are_told_apart():
    same = {"name": "a", "technique": "plain", "samples": 1}
    assert labels([same, same, {**same, "samples": 5, "technique": "few-shot"}]) == ["a", "a (2)", "a, few-shot, ×5"]


@pytest.mark.browser
def test_two_variants_are_compared_to_the_end(live, window, mock_decoder):
    from playwright.sync_api import expect

    mock_decoder.reply, mock_decoder.pace = right_but_for_four, 0.0
    window.goto(live.url)
    window.get_by_role("link", name="Prompts").click()
    window.get_by_text("Cached prefix ends here").first.wait_for()
    window.get_by_role("tab", name="Compare").click()
    window.get_by_role("button", name="Compare", exact=True).click()
    window.get_by_text("12 questions, answered by mock").wait_for(timeout=60_000)
    window.get_by_text("Accuracy with its 95% interval").first.wait_for(state="attached")
    window.get_by_test_id("stVegaLiteChart").wait_for()
    window.get_by_text("Questions on which the variants differ: 4").wait_for()
    expect(window.get_by_test_id("stDataFrame").first).to_contain_text("-33.3", timeout=30_000)
