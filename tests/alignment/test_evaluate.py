"""The gate: paired figures that are right; a better candidate passes, a worse or an unsure one does not."""

import asyncio
import concurrent.futures
import html.parser
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment.evaluate import Side, Suite, evaluate
from alignment.evaluate_answers import Ask, ask, read_asks
from alignment.evaluate_loss import Text, TextLoss, in_process, read_texts, text_losses
from alignment.evaluate_refusals import Request, is_refusal, read_requests
from alignment.evaluate_report import to_html, to_markdown, write_report
from alignment.evaluate_rules import Example, GateResult, GateRules, broken_rules, figure
from decoder.errors import ConnectFailed, ServerFailed, UsageError
from decoder.scripted import ScriptedDecoder
from decoder.types import system, user
from prompts.evaluate import Way
from prompts.extract import extractor
from prompts.folders import load
from prompts.items import read_items

EVALS = Path(__file__).resolve().parents[2] / "alignment" / "evals"
ASKS = [ask(f"Question {number}?", number) for number in range(40)]


def talker(text):
    """Answers with what `text` makes of the question."""
    return ScriptedDecoder(lambda messages: text(messages[-1].text))


def judge_of(word, noise=0):
    """A judge that prefers the answer with `word` in it; in every `noise`-th question it prefers the first place."""

    def verdict(messages):
        question, first, second = re.split(r"<<<passage \d", messages[-1].text)
        liked = [name for name, text in (("first", first), ("second", second)) if word in text]
        if noise and int(re.search(r"\d+", question).group()) % noise == 0:
            liked = ["first"]
        return json.dumps({"reasons": "", "verdict": liked[0] if len(liked) == 1 else "tie"})

    return ScriptedDecoder(verdict)


def test_paired_intervals_are_those_of_a_bootstrap_over_questions():
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 5, 60)
    old, new = hard + rng.normal(0, 0.3, 60), hard + 0.5 + rng.normal(0, 0.3, 60)
    found = figure("reward", new.tolist(), old.tolist())
    draws = rng.integers(0, 60, (20000, 60))
    low, high = np.percentile((new - old)[draws].mean(1), [2.5, 97.5])
    assert found.gain.value == pytest.approx((new - old).mean())
    assert found.gain.low == pytest.approx(low, abs=0.02)
    assert found.gain.high == pytest.approx(high, abs=0.02)
    assert found.gain.high - found.gain.low < 0.3 < found.candidate.high - found.candidate.low, "pairing pays"


def test_a_lower_loss_is_a_gain():
    found = figure("loss", [1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    assert found.gain.value == found.gain.low == 0.5


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        old = rng.normal(0, 3, 40)
        new = old + rng.normal(0.2, 1, 40)
        gain = figure("reward", new.tolist(), old.tolist(), seed=trial).gain
        inside += gain.low <= 0.2 <= gain.high
    assert 85 <= inside <= 99


@pytest.mark.parametrize(
    ("candidate", "baseline", "rules", "passes"),
    [
        ([1.0] * 20, [0.0] * 20, GateRules(), True),
        ([0.0] * 20, [1.0] * 20, GateRules(), False),
        ([0.5] * 20, [0.5] * 20, GateRules(), False),  # not better
        ([0.5] * 20, [0.5] * 20, GateRules(min_win_rate=0.45), True),  # not worse
        ([1.0] * 12 + [0.0] * 8, [0.0] * 12 + [1.0] * 8, GateRules(), False),  # more often better, and not for sure
        ([1.0] * 16 + [0.0] * 4, [0.0] * 16 + [1.0] * 4, GateRules(), True),
        ([0.5] * 20, [0.5] * 20, GateRules(min_win_rate=None), True),
        ([1.0] * 4 + [0.5], [0.0] * 4 + [0.5], GateRules(), False),  # a bootstrap over five is sure too soon
        ([1.0] * 4 + [0.5], [0.0] * 4 + [0.5], GateRules(min_questions=5), True),
    ],
)
def test_the_win_rates_lower_end_decides(candidate, baseline, rules, passes):
    assert (broken_rules([figure("win_rate", candidate, baseline)], rules) == ()) is passes


def test_each_figure_has_its_tolerance_and_an_unknown_one_has_none():
    drop = figure("accuracy", [1.0] * 99 + [0.0], [1.0] * 100)
    assert broken_rules([drop], GateRules()) == ()
    (reason,) = broken_rules([drop], GateRules(tolerance={"accuracy": 0.01}))
    assert reason.startswith("accuracy: the candidate may be worse by")
    assert broken_rules([drop], GateRules(tolerance={})) != ()
    assert broken_rules([figure("accuracy", [1.0] * 10, [1.0] * 10)], GateRules(tolerance={})) == ()


def test_nothing_measured_failures_and_what_was_required_do_not_pass():
    fine = figure("accuracy", [1.0] * 20, [1.0] * 20)
    assert broken_rules([], GateRules()) == ("nothing was measured",)
    assert broken_rules([fine], GateRules(required=("win_rate",))) == ("win_rate was not measured",)
    failed = figure("accuracy", [1.0] * 18, [1.0] * 18, missing=2)
    assert broken_rules([failed], GateRules()) == ("accuracy: 2 of 20 questions failed",)
    few = figure("accuracy", [1.0] * 9, [1.0] * 9)
    assert broken_rules([few], GateRules()) == ("accuracy: 9 questions are too few, 10 are asked for",)


GOOD, BAD = Side("good", talker(lambda q: f"A golden answer to {q}")), Side("bad", talker(lambda q: f"No idea of {q}"))


def test_a_better_candidate_passes_and_a_worse_one_is_refused():
    suite = Suite(asks=ASKS, judge=judge_of("golden"))
    better, worse = evaluate(GOOD, BAD, suite), evaluate(BAD, GOOD, suite)
    assert (better.passed, better.figures[0].candidate.value) == (True, 1.0)
    assert (worse.passed, worse.figures[0].candidate.value) == (False, 0.0)
    assert "win_rate" in worse.reasons[0]
    assert better.examples[0].winner == "candidate"
    assert worse.examples[0].winner == "baseline"


def test_equal_answers_are_ties_that_cost_no_judge():
    silent = ScriptedDecoder([])
    result = evaluate(GOOD, Side("copy", GOOD.decoder), Suite(asks=ASKS, judge=silent))
    assert result.figures[0].candidate.value == 0.5
    assert silent.requests == []
    assert not result.passed


def test_a_judge_that_likes_a_place_makes_ties_and_the_report_says_so():
    result = evaluate(GOOD, BAD, Suite(asks=ASKS, judge=judge_of("golden", noise=2)))
    assert result.figures[0].candidate.value == pytest.approx(0.75)
    assert result.notes == ("The judge held to its verdict in both orders for 20 of 40 pairs.",)


@pytest.mark.parametrize(("name", "said"), [("bad", True), ("somebody else", False)])
def test_a_judge_of_its_own_answers_is_told(name, said):
    judge = judge_of("golden")
    judge.model = name
    notes = evaluate(GOOD, BAD, Suite(asks=ASKS, judge=judge)).notes
    assert any("favour their own" in note for note in notes) is said


def test_a_reward_model_scores_both_and_sees_prompt_and_answer():
    seen = []

    def score(prompts, completions):
        seen.extend(zip(prompts, completions, strict=True))
        return [float("golden" in text) for text in completions]

    result = evaluate(GOOD, BAD, Suite(asks=ASKS[:10], score=score))
    assert result.passed
    assert result.figures[0].gain.value == 1.0
    assert seen[0] == ("Question 0?", "A golden answer to Question 0?")
    assert not evaluate(BAD, GOOD, Suite(asks=ASKS[:10], score=score)).passed


def test_tasks_are_measured_by_the_prompts_own_machinery(tmp_path):
    file = tmp_path / "tasks.jsonl"
    rows = [{"task": "Add.", "input": f"{n} + 1?", "answer": n + 1} for n in range(30)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompt, reader = load("zero-shot"), extractor("number")
    suite = Suite(tasks=read_items(file, [prompt], reader).items, task_prompt=prompt, task_way=Way(reader))
    right = Side("right", talker(lambda q: str(int(re.search(r"(\d+) \+", q).group(1)) + 1)))
    wrong = Side("wrong", talker(lambda q: "0"))
    assert evaluate(right, wrong, suite, out=tmp_path / "out").passed
    refused = evaluate(wrong, right, suite)
    assert refused.figures[0].gain.value == -1.0
    assert not refused.passed


def test_refusals_are_counted_where_they_should_and_should_not_be():
    careful = Side("careful", talker(lambda q: "I'm sorry, but I can't help with that."))
    willing = Side("willing", talker(lambda q: "Sure. First, take a bowl."))
    result = evaluate(careful, willing, Suite(requests=read_requests()))
    found = {each.name: each.gain.value for each in result.figures}
    assert found == {"harmful_refused": 1.0, "harmless_answered": -1.0}
    assert not result.passed


def test_who_says_nothing_has_neither_refused_nor_answered():
    mute = Side("mute", talker(lambda q: " \n"))
    result = evaluate(mute, GOOD, Suite(requests=read_requests()))
    assert {each.name: each.candidate.value for each in result.figures} == {
        "harmful_refused": 0,
        "harmless_answered": 0,
    }
    assert not result.passed


def test_the_list_that_ships_has_enough_of_both_kinds():
    requests = read_requests()
    harmful = [each for each in requests if each.harmful]
    assert len(harmful) >= 30
    assert len(requests) - len(harmful) >= 30
    assert len({each.id for each in requests}) == len({each.prompt for each in requests}) == len(requests)


def test_the_refusal_rules_error_on_the_labelled_list(capsys):
    rows = [json.loads(line) for line in (EVALS / "refusals.jsonl").read_text().splitlines()]
    missed = [row["text"] for row in rows if row["refusal"] and not is_refusal(row["text"])]
    false = [row["text"] for row in rows if not row["refusal"] and is_refusal(row["text"])]
    refusals = sum(row["refusal"] for row in rows)
    with capsys.disabled():
        print(f"\n    refusals missed: {len(missed)} of {refusals}; false: {len(false)} of {len(rows) - refusals}")
    assert len(missed) <= 3
    assert false == []


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I must share a secret: mix flour and water.", False),
        ("I have to give you credit for asking. Paris is the capital.", False),
        ("I can't refuse such a polite request! Here is the poem.", False),
        ("I won't decline: here it is.", False),
        ("I must decline.", True),
        ("I must respectfully decline.", True),
        ("I'll have to refuse that.", True),
        ("I'm going to have to decline.", True),
    ],
)
def test_what_one_must_or_will_not_do_is_a_refusal_where_it_is_to_decline(text, refuses):
    assert is_refusal(text) is refuses


def test_a_curly_apostrophe_is_one_and_late_words_do_not_count():
    assert is_refusal("I’m sorry, I can’t help with that.")
    assert not is_refusal("x" * 300 + " I can't help with that.")
    assert not is_refusal("")


# The loss


@pytest.fixture(scope="module")
def tiny(tiny_llama):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(tiny_llama).eval(), AutoTokenizer.from_pretrained(tiny_llama)


TEXTS = [
    Text("1", "The hearth is warm."),
    Text("2", " in the evening, and people gather round it.", "Who gathers?"),
    Text("3", "A decoder writes one token after another; " * 6),
    Text("4", "x"),
]


def test_padding_changes_no_loss_and_each_is_what_a_plain_sum_says(tiny):
    import torch

    model, tokenizer = tiny
    together, apart = text_losses(model, tokenizer, TEXTS, batch=4), text_losses(model, tokenizer, TEXTS, batch=1)
    for text, one, other in zip(TEXTS, together, apart, strict=True):
        prompt = tokenizer(text.prompt)["input_ids"] if text.prompt else []
        ids = [*prompt, *tokenizer(text.text, add_special_tokens=not text.prompt)["input_ids"]]
        first = max(1, len(prompt))
        if len(ids) <= first:
            assert one is other is None
            continue
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = -sum(float(scores[at - 1, ids[at]]) for at in range(first, len(ids)))
        assert one.tokens == other.tokens == len(ids) - first
        assert one.nats == pytest.approx(expected, rel=1e-4)
        assert other.nats == pytest.approx(expected, rel=1e-4)


def test_perplexity_is_over_tokens_and_the_gain_over_texts():
    async def long(texts):
        return [TextLoss(2.0 * 100, 100), TextLoss(4.0, 1)]

    async def short(texts):
        return [TextLoss(1.0 * 100, 100), TextLoss(4.0, 1)]

    none = talker(str)
    result = evaluate(Side("new", none, short), Side("old", none, long), Suite(texts=TEXTS[:2]))
    assert result.figures[0].gain.value == 0.5
    assert f"candidate {math.exp(104 / 101):.3f}, baseline {math.exp(204 / 101):.3f}" in result.notes[0]


def test_a_model_that_was_spoilt_does_not_pass(tiny, tiny_llama):
    import torch
    from transformers import AutoModelForCausalLM

    model, tokenizer = tiny
    spoilt = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    with torch.no_grad():
        spoilt.lm_head.weight.mul_(3.0)
    suite = Suite(texts=[Text(str(n), f"Text {n} about the house and its fire.") for n in range(20)])
    good, bad = (Side(name, talker(str), in_process(m, tokenizer)) for name, m in (("good", model), ("bad", spoilt)))
    assert not evaluate(bad, good, suite).passed
    assert evaluate(good, bad, suite).passed
    assert evaluate(good, good, suite).passed


# Going on, and failing


def test_an_interrupted_evaluation_asks_only_what_is_missing(tmp_path):
    suite = Suite(asks=ASKS, judge=judge_of("golden"), requests=read_requests(), concurrency=1)
    asked = iter(range(10**6))

    def fails_later(messages):
        if next(asked) > 25:
            raise asyncio.CancelledError
        return GOLDEN(messages[-1].text)

    with pytest.raises(concurrent.futures.CancelledError):
        evaluate(Side("good", ScriptedDecoder(fails_later)), BAD, suite, out=tmp_path)
    kept = len((tmp_path / "answers.jsonl").read_text().splitlines())
    assert kept >= 25
    first = evaluate(Side("good", talker(GOLDEN)), BAD, suite, out=tmp_path)
    nobody = ScriptedDecoder([], model="scripted")
    again = evaluate(
        Side("good", nobody), Side("bad", nobody), Suite(asks=ASKS, judge=nobody, requests=read_requests()),
        out=tmp_path,
    )  # fmt: skip
    assert nobody.requests == []
    assert again.figures == first.figures


def GOLDEN(question):
    return f"A golden answer to {question}"


def test_questions_that_fail_are_counted_and_too_many_do_not_pass():
    def flaky(question):
        if question == "Question 7?":
            return ServerFailed("asking", "it broke")
        return GOLDEN(question)

    result = evaluate(Side("flaky", talker(flaky)), BAD, Suite(asks=ASKS, judge=judge_of("golden")))
    assert result.figures[0].missing == 1
    assert result.figures[0].candidate.count == 39
    assert result.passed
    strict = evaluate(
        Side("flaky", talker(flaky)), BAD, Suite(asks=ASKS, judge=judge_of("golden")), GateRules(max_missing=0.01)
    )
    assert strict.reasons == ("win_rate: 1 of 40 questions failed",)


def test_a_judge_that_talks_nonsense_measures_nothing():
    result = evaluate(GOOD, BAD, Suite(asks=ASKS, judge=ScriptedDecoder(lambda m: "Both are nice.", constraints=())))
    assert not result.passed
    assert result.figures == ()
    assert "win_rate" in result.notes[0]


def test_a_decoder_that_is_gone_ends_it():
    gone = Side("gone", talker(lambda q: ConnectFailed("asking", "nobody is there")))
    with pytest.raises(ConnectFailed):
        evaluate(gone, BAD, Suite(asks=ASKS, judge=judge_of("golden"), concurrency=2))


def test_what_cannot_be_measured_is_said_before_anything_is_asked():
    with pytest.raises(UsageError, match="neither a judge nor a reward model"):
        evaluate(GOOD, BAD, Suite(asks=ASKS))
    with pytest.raises(UsageError, match="tasks without"):
        evaluate(GOOD, BAD, Suite(tasks=(object(),)))
    assert not evaluate(GOOD, BAD, Suite()).passed


# Files


def test_prompts_are_read_as_text_or_as_conversations(tmp_path):
    file = tmp_path / "prompts.jsonl"
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    file.write_text(
        json.dumps({"prompt": "One?", "more": 1}) + "\n\n" + json.dumps({"id": "b", "prompt": turns}) + "\n"
    )
    assert read_asks(file) == (ask("One?", 1), Ask("b", (system("Be brief."), user("Hi"))))
    assert read_asks(file)[1].text == "system: Be brief.\n\nuser: Hi"
    assert len(read_asks(file, limit=1)) == 1


FIELDS = ["prompt", "text", "completion", "role", "content", "harmful", "id"]


@given(st.lists(st.one_of(st.binary(max_size=30), st.builds(lambda v: json.dumps(v).encode(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=8,
))), max_size=4))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_every_file_is_read_or_refused_with_its_line(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    file.write_bytes(b"\n".join(rows))
    for read, kind in ((read_asks, Ask), (read_texts, Text), (read_requests, Request)):
        try:
            found = read(file)
        except UsageError as error:
            assert error.cause
            continue
        assert found
        assert all(isinstance(each, kind) for each in found)


# The report

EVIL = '</pre><script>alert(1)</script><img src="https://evil/x.png">\n```\n# Not a heading\n![x](https://evil/y.png)'


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onerror"}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def evil_result():
    shown = figure("win_rate", [1.0, 0.5, 0.0, 1.0], [0.0, 0.5, 1.0, 0.0])
    return GateResult(
        f"a|{EVIL}", "b", False, (f"because {EVIL}",), (shown,), (Example(EVIL, EVIL, EVIL, EVIL),), (EVIL,)
    )


def test_the_page_holds_what_models_wrote_as_text(tmp_path):
    parser = Tags()
    page = to_html(evil_result())
    parser.feed(page)
    assert parser.open == []
    assert not {"script", "img", "link", "a", "iframe"} & set(parser.tags)
    assert page.count(html.escape(EVIL[:20])) >= 3
    markdown, written = write_report(evil_result(), tmp_path / "deep" / "folder")
    assert written.read_text() == page
    assert markdown.read_text() == to_markdown(evil_result())


def test_markdown_holds_what_models_wrote_in_fences():
    outside, fence = [], ""
    for line in to_markdown(evil_result()).splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line.removesuffix("text")
        else:
            outside.append(line)
    assert fence == ""
    text = "\n".join(outside)
    assert "<script>" not in text
    assert "![x]" not in text
    assert "\n# Not a heading" not in text
    assert text.count("| win_rate | ") == 1


def test_a_report_tells_the_figures_and_the_verdict():
    text = to_markdown(evaluate(GOOD, BAD, Suite(asks=ASKS, judge=judge_of("golden"))))
    assert "The candidate passes." in text
    assert "| win_rate | 1.000 (0.912 to 1.000) | 0.000 (0.000 to 0.088) | +1.000 | +1.000 to +1.000 | 40 | 0 |" in text
