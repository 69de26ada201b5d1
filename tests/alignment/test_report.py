"""A run's report shows what was logged and no more, holds untrusted text as text, and is the same bytes again."""

import json
import re
import time
from html.parser import HTMLParser

import pytest

from alignment.plots import CHARTS
from alignment.recipe import make_recipe
from alignment.report import LONGEST_SAMPLE, SAMPLE_STEPS, SAMPLES_A_STEP, gather, write_report
from alignment.run_folder import open_run
from decoder.runs.folder import RunFolder
from decoder.runs.metric_series import MOST_POINTS, Series, read_series

NASTY = "</pre><script>alert(1)</script>\n```\n# not a title\n| a | <img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path):
    recipe = make_recipe({"stage": "ppo", "name": "mine", "seed": 7, "output": str(tmp_path / "run")})
    made = open_run(recipe)
    for step in range(1, 41):
        made.log(step, {"loss": 2 / step, "reward": step / 10, "reward_std": 0.3, "kl": step / 20, "entropy": 1.5})
    made.log(40, {"eval_loss": 0.4, "train_runtime": 12.5})
    made.sample(1, "Who are you?", NASTY, reward=0.25)
    made.note(
        status="finished", started=1e9, finished=1e9 + 90, metrics={"loss": 0.05}, data={"rows": 12, "dropped": []}
    )
    return made


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.data = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_data(self, data):
        self.data.append(data)


def page_of(folder):
    return write_report(folder).read_text()


def test_the_head_says_what_ran_for_how_long_and_from_which_seed(folder):
    text, page = (folder.path / "report.md"), page_of(folder)
    text = text.read_text()
    for shown in ("| stage | ppo |", "| status | finished |", "| seconds | 90 |", "| seed | 7 |", "| rows | 12 |"):
        assert shown in text
    assert "2001-09-09 01:46:40 UTC" in page and '<th scope="row">loss</th><td>0.05</td>' in page


def test_what_was_logged_is_drawn_and_what_was_not_is_left_out(folder):
    page = page_of(folder)
    drawn = re.findall(r'<svg role="img" aria-label="([^"]+)"', page)
    assert drawn == ["Loss", "Reward", "KL to the reference, nats", "Entropy, nats"]
    assert not {"Clip fraction", "Explained variance"} & set(drawn)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.title)
def test_each_chart_is_drawn_from_any_one_of_its_figures(tmp_path, chart):
    made = RunFolder(tmp_path)
    made.log(1, {chart.names[-1]: 0.5})
    made.log(2, {chart.names[-1]: 0.7})
    assert f'aria-label="{chart.title}"' in page_of(made)


def test_a_page_runs_nothing_fetches_nothing_and_keeps_what_models_wrote_as_text(folder):
    folder.note(name="<b>bold</b>", error=NASTY, status="failed")
    page = Page(page_of(folder))
    assert "script" not in page.tags and "img" not in page.tags and "b" not in page.tags
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    linked = [(tag, name, value) for tag, name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith("#") for _, _, value in linked)
    assert any(NASTY in data for data in page.data)
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    urls = set(re.findall(r"https?://[^\"' <]+", (folder.path / "report.html").read_text()))
    assert urls <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}


def test_in_markdown_untrusted_text_stays_inside_a_fence_longer_than_its_own(folder):
    write_report(folder)
    text = (folder.path / "report.md").read_text()
    fence = re.search(r"^(`{4,})text\n</pre>", text, re.M).group(1)
    inside = text.split(f"{fence}text\n")[1].split(f"\n{fence}\n")[0]
    assert inside == NASTY
    assert "<script>" not in text.replace(inside, "")


def test_curves_take_the_pages_own_ink_so_that_they_show_on_dark(folder):
    page = page_of(folder)
    assert "#010203" not in page and "currentColor" in page
    assert "#ffffff" not in page.split("</style>", 1)[1] and "prefers-color-scheme: dark" in page


def test_the_same_files_give_the_same_bytes(folder):
    first = (page_of(folder), (folder.path / "report.md").read_bytes())
    assert (page_of(folder), (folder.path / "report.md").read_bytes()) == first


def test_an_empty_run_and_a_torn_line_still_give_a_report(tmp_path):
    made = RunFolder(tmp_path)
    assert "<svg" not in page_of(made)
    made.log(1, {"loss": 1.0, "kl": float("nan"), "reward": None, "note": "text", "flag": True})
    with made.metrics_file.open("a") as file:
        file.write('{"step": 2, "lo')
    assert set(read_series(made.metrics_file)) == {"loss"}
    assert 'aria-label="Loss"' in page_of(made)


def test_a_resumed_run_shows_the_later_values_of_a_step(tmp_path):
    made = RunFolder(tmp_path)
    for step, loss in ((1, 9.0), (2, 8.0), (3, 7.0), (2, 5.0), (3, 4.0)):
        made.log(step, {"loss": loss})
    series = read_series(made.metrics_file)["loss"]
    assert (series.steps, series.means) == ([1, 2, 3], [9.0, 5.0, 4.0])


def test_a_long_series_is_thinned_and_keeps_its_extremes():
    series = Series()
    for step in range(100_000):
        series.add(step, 100.0 if step == 54_321 else (step % 10) / 10)
    assert MOST_POINTS / 2 <= len(series.steps) <= MOST_POINTS and series.merged
    assert max(series.highs) == 100.0 and min(series.lows) == 0.0 and series.steps == sorted(set(series.steps))
    assert sum(series.means) / len(series.means) == pytest.approx(0.451, abs=0.01)
    assert (series.first, series.last, series.count) == (0.0, 0.9, 100_000)


def test_a_file_of_many_lines_is_read_in_bounded_time(tmp_path):
    made = RunFolder(tmp_path)
    lines = (json.dumps({"step": step, "loss": 1 / (1 + step), "reward": step * 1e-5}) for step in range(100_000))
    made.metrics_file.write_text("\n".join(lines) + "\n")
    before = time.process_time()
    page = page_of(made)
    assert time.process_time() - before < 20  # a second or two where nothing else runs
    assert len(page) < 1_500_000


def test_samples_are_spread_over_the_run_and_cut_where_they_are_long(tmp_path):
    made = RunFolder(tmp_path)
    for step in range(1000):
        for number in range(SAMPLES_A_STEP + 2):
            made.sample(step, "ask", f"{number} " + "x" * 3 * LONGEST_SAMPLE)
    shown = gather(made).samples
    assert min(shown) == 0 and max(shown) == 999 and len(shown) == SAMPLE_STEPS
    assert all(len(lines) == SAMPLES_A_STEP for lines in shown.values())
    assert f"[{2 * LONGEST_SAMPLE + 2} characters more]" in page_of(made)


def test_gold_apart_from_proxy_is_shown_with_its_alarm(tmp_path):
    made = RunFolder(tmp_path)
    for step in range(80):
        made.log(step, {"reward": step / 10, "gold_reward": -abs(step - 30) / 10, "kl": step / 5})
    page = page_of(made)
    assert 'aria-label="Proxy and gold reward"' in page
    assert re.search(r'class="alarm" role="alert">over-optimised at step \d+', page)
    assert "**Alarm**: over-optimised" in (tmp_path / "report.md").read_text()


def test_a_reward_models_evaluation_is_shown(folder):
    pair = {"row": 3, "margin": 0.001, "prompt": "p", "better": NASTY, "worse": "w"}
    found = {
        "split": "eval",
        "accuracy": {"value": 0.75, "low": 0.6, "high": 0.86, "count": 40},
        "ece": 0.08,
        "bins": [{"low": 0.5, "high": 0.75, "count": 30, "confidence": 0.6, "accuracy": 0.7}, "torn"],
        "length": {"pearson": 0.31, "spearman": None},
        "ambiguous": [pair],
    }
    (folder.path / "reward_eval.json").write_text(json.dumps(found))
    page = page_of(folder)
    assert 'aria-label="Reliability"' in page and "0.750 [0.600, 0.860]" in page
    assert "<td>0.310</td>" in page and "cannot tell apart, margin +0.001" in page and "<script>" not in page
    assert "held-out rows" in (folder.path / "report.md").read_text()
    (folder.path / "reward_eval.json").write_text("[1, 2")
    assert 'aria-label="Reliability"' not in page_of(folder)
