"""Training that the page started: a real run of a tiny model, stopped, killed, and gone on with to its end."""

import json
import time

import pytest

from alignment.registry import list_artefacts
from ui.browser import align_recipe_view, align_recipes, align_run_view, align_runs, jobs
from ui.browser.align_recipes import Form

ROWS = [
    {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}."}]}
    for n in range(12)
]
REST = """
stage: sft
lora: {alpha: 8}
training: {per_device_train_batch_size: 4, logging_steps: 1, save_steps: 10, max_length: 96}
"""


@pytest.fixture
def recipe(home, tiny_llama):
    (home / "datasets").mkdir()
    rows = home / "datasets" / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    form = Form("short", str(tiny_llama), str(rows), steps=120, learning_rate=3e-3, rank=4)
    return align_recipes.recipe_of(form, REST)


def until(look, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass")


def trains_beyond(key, step):
    run = align_runs.find(key)
    assert run.going, jobs.output(run.job)
    return run.state == "running" and align_runs.last_step(run.folder) > step


def said(page):
    groups = (page.subheader, page.warning, page.info, page.error, page.caption)
    return " ".join(each.value for group in groups for each in group)


def button(page, key):
    return next((each for each in page.button if each.key == key), None)


def test_a_run_is_watched_stopped_killed_and_gone_on_with_to_its_end(home, open_page, recipe):
    key = align_recipe_view.begin_run(recipe)
    assert align_runs.find(key).state == "preparing"
    until(lambda: trains_beyond(key, 3))
    page = open_page("alignment", align_view="runs")
    assert "training" in page.subheader[0].value and not page.error
    assert any(each.key and each.key.startswith("align_stop_") for each in page.button)
    assert button(page, "align_resume") is None

    jobs.stop(align_runs.find(key).job)  # SIGTERM: a checkpoint, then the end
    stopped = until(lambda: (run := align_runs.find(key)).state == "stopped" and run)
    reached = align_runs.last_step(stopped.folder)
    assert stopped.folder.checkpoints()[-1].name == f"checkpoint-{reached}"
    page = open_page("alignment", align_view="runs")
    assert "stopped" in page.subheader[0].value
    assert f"Stopped after step {reached}." in page.info[0].value
    assert "--resume" not in said(page), "the button does it"

    button(page, "align_resume").click().run()
    until(lambda: trains_beyond(key, reached + 12))
    jobs.kill(align_runs.find(key).job)
    killed = until(lambda: (run := align_runs.find(key)).state == "killed" and run)
    assert killed.noted["status"] == "running", "nobody was left to say otherwise"
    page = open_page("alignment", align_view="runs")
    assert "killed" in page.subheader[0].value and "last checkpoint" in page.warning[0].value

    align_run_view.resume(killed)
    finished = until(lambda: (run := align_runs.find(key)).state == "finished" and run)
    steps = [line["step"] for line in finished.folder.metrics() if "loss" in line]
    assert steps == list(range(1, 121)), "every step once, through a stop and a kill"
    artefact = list_artefacts()[0]
    page = open_page("alignment", align_view="runs")
    assert "finished" in page.subheader[0].value and page.code, "samples of what it says are shown"
    page = button(page, "align_to_model").click().run()
    assert page.segmented_control[0].value == "models"
    assert page.selectbox[0].value == artefact.id
    assert "No server of Hearth runs" in said(page)
    facts = next(frame.value for frame in page.dataframe if "What" in frame.value)
    assert artefact.data["sha256"] in list(facts["Value"])
    with pytest.raises(Exception, match="there is a run short already"):
        align_recipe_view.begin_run(recipe)


def test_a_run_of_the_command_line_is_listed_and_one_that_died_is_shown_as_killed(home, open_page, monkeypatch):
    folder = home / "elsewhere" / "by-hand"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HEARTH_ALIGNMENT_RUNS", str(folder.parent))
    noted = {"stage": "sft", "name": "by-hand", "status": "running", "pid": 2**22 + 1, "started": 1.0}
    (folder / "run.json").write_text(json.dumps(noted))
    (folder / "recipe.yaml").write_text("stage: sft\nname: by-hand\n")
    page = open_page("alignment", align_view="runs")
    assert "by" in page.subheader[0].value and "killed" in page.subheader[0].value
    assert button(page, "align_resume") is not None
