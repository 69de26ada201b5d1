"""The page "pictures" in each of its states, and one journey in a real browser."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ui.browser.picture_gallery import gallery_of, new_ids, owner_of
from ui.browser.picture_recipes import FIRST
from ui.browser.safe_text import plain

HOSTILE = "<img src=http://example.com/x.png onerror=alert(1)> ![x](http://example.com/y.png) :red[x] $x$"


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("pictures_support")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("diffusers", reason="diffusers is in the generate extra")
    return support.train_tiny(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def run(home, trained, monkeypatch):
    """The tiny run in this test's home, and no other runs."""
    monkeypatch.chdir(home)
    shutil.copytree(trained, home / "runs" / "tiny")


@pytest.fixture
def started(home, monkeypatch):
    """What the page asks to be started, instead of processes."""
    from ui.browser import jobs

    asked = []

    def start(kind, title, spec, person=""):
        asked.append((kind, spec))
        return jobs.find(support.write_job(home, kind, spec, "done", title=title))

    monkeypatch.setattr(jobs, "start", start)
    return asked


def labels(page):
    return [button.label for button in page.button]


def texts(page):
    return " ".join(
        each.value for kind in (page.markdown, page.caption, page.warning, page.info, page.error) for each in kind
    )


def test_without_the_extra_the_page_says_what_to_install(open_page, monkeypatch):
    monkeypatch.setattr("ui.cli.generate_options.find_spec", lambda name: None)
    page = open_page("pictures")
    assert "generate" in page.info[0].value and not page.error


def test_an_empty_darkroom_offers_a_first_model(open_page, home, monkeypatch, started):
    monkeypatch.chdir(home)
    page = open_page("pictures")
    page.button(key="pictures-first").click().run()
    ((kind, spec),) = started
    assert (kind, spec["recipe"], spec["run"], spec["does"]) == ("pictures", FIRST, "home:first-model", "train")


@pytest.mark.parametrize("view", ["gallery", "train", "between", "compare"])
def test_each_empty_view_says_what_to_do_next(open_page, home, monkeypatch, view):
    monkeypatch.chdir(home)
    page = open_page("pictures", **{"pictures-view": view})
    assert not page.error and labels(page)


def test_a_running_training_shows_how_far_it_is_and_can_be_stopped(open_page, run, home):
    import fcntl

    progress = {"doing": "training", "step": 1234, "spent": 9.0, "budget": 40.0, "share": 0.225, "left": 30.0}
    job = support.write_job(home, "pictures", support.SPEC, "killed", progress=progress)
    with (home / "jobs" / job / "alive").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        page = open_page("pictures", **{"pictures-view": "train"})
    assert "Stop" in labels(page) and not page.error
    (bar,) = page.get("progress")
    assert "step 1,234 · 9 of 40 s of training · about 30 s left" in str(bar.proto)


def test_a_killed_training_is_shown_as_such_with_the_way_to_go_on(open_page, run, home, started):
    support.write_job(home, "pictures", support.SPEC, "killed")
    state = home / "runs" / "tiny" / "run.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"status": "running"}))
    page = open_page("pictures", **{"pictures-view": "train"})
    assert "killed" in texts(page)
    page.button(key="pictures-resume").click().run()
    ((_, spec),) = started
    assert spec == support.SPEC | {"resume": True}
    assert not page.exception and not page.error


def test_a_finished_training_has_grids_over_time_and_leads_to_drawing(open_page, run, home):
    state = home / "runs" / "tiny" / "run.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"alarms": [{"kind": "collapse", "text": HOSTILE}]}))
    page = open_page("pictures", **{"pictures-view": "train"})
    assert page.warning[0].value == plain(HOSTILE)
    assert page.select_slider[0].options == ["2", "4"] and page.select_slider[0].value == 4
    page.select_slider[0].set_value(2).run()
    page.button(key="pictures-draw-with").click().run()
    assert page.selectbox(key="pictures-model").value == "home:tiny" and not page.exception


def test_a_run_is_asked_for_pictures(open_page, run, started):
    page = open_page("pictures")
    page.number_input(key="pictures-count").set_value(3)
    page.number_input(key="pictures-seed").set_value(7)
    page.number_input(key="pictures-run-temperature").set_value(0.5)
    page.button(key="pictures-draw").click().run()
    ((kind, spec),) = started
    asked = {key: spec[key] for key in ("does", "from", "run", "count", "seed", "options", "owner")}
    assert kind == "draw" and asked == {
        "does": "draw", "from": "run", "run": "home:tiny", "count": 3, "seed": 7, "options": {"temperature": 0.5},
        "owner": "own",
    }  # fmt: skip


def test_a_pipeline_is_asked_by_its_folder(open_page, home, monkeypatch, started):
    monkeypatch.chdir(home)
    page = open_page("pictures", **{"pictures-use-pipeline": True})
    page.text_input(key="pictures-folder").set_value("models/sd")
    page.text_area(key="pictures-prompt").set_value(HOSTILE)
    page.button(key="pictures-draw").click().run()
    ((_, spec),) = started
    assert (spec["from"], spec["model"], spec["prompt"], spec["strength"]) == ("pipeline", "models/sd", HOSTILE, 0.8)
    assert HOSTILE not in texts(page) and not page.exception


def keep(owner, captions=(), asked=None):
    """A picture of the gallery whose metadata says what anybody likes."""
    import dataclasses

    from generators.run_pictures import RunPictureMetadata

    gallery, (name,) = gallery_of(owner).made(), new_ids(1)
    said = dataclasses.asdict(RunPictureMetadata("tiny", "vae", "0" * 64, 1, 1, 0, captions=tuple(captions)))
    info = PngInfo()
    info.add_itxt("hearth-run", json.dumps({"format": 1, **said}))
    Image.new("L", (8, 8)).save(gallery.path / f"{name}.png", pnginfo=info)
    gallery.note(name, asked or {})
    return name


def test_the_gallery_shows_a_persons_own_pictures_page_by_page(open_page, home):
    for _ in range(26):
        keep("own")
    keep(owner_of("anna"))
    page = open_page("pictures", **{"pictures-view": "gallery"})
    assert "26 pictures" in texts(page) and labels(page).count("Open") == 24
    page.number_input(key="pictures-page").set_value(2).run()
    assert labels(page).count("Open") == 2


def test_hostile_metadata_is_shown_as_text_and_nothing_else(open_page, home):
    name = keep("own", [HOSTILE])
    page = open_page("pictures", **{"pictures-view": "gallery", "pictures-open": name})
    table = page.dataframe[0].value
    assert json.dumps([HOSTILE]) in list(table["Value"])
    assert "example.com" not in texts(page)


def test_a_damaged_picture_is_told_and_can_still_be_deleted(open_page, home):
    gallery, (name,) = gallery_of("own").made(), new_ids(1)
    Image.new("L", (8, 8)).save(gallery.path / f"{name}.png")
    page = open_page("pictures", **{"pictures-view": "gallery", "pictures-open": name})
    assert "does not say" in page.error[0].value.replace("\\", "")
    page.button(key="pictures-delete").click().run()
    assert gallery.every() == []


@pytest.mark.parametrize(("equal", "said"), [(True, "every pixel is the same"), (False, "up to 9 of 255")])
def test_drawing_again_says_whether_it_is_the_same(open_page, home, started, equal, said):
    name = keep("own", asked={"from": "run", "run": "home:tiny"})
    page = open_page("pictures", **{"pictures-view": "gallery", "pictures-open": name})
    page.button(key="pictures-reproduce").click().run()
    ((_, spec),) = started
    assert spec == {"does": "reproduce", "picture": name, "owner": "own"}
    result = {"equal": equal, "largest_difference": 0 if equal else 9, "notes": [HOSTILE]}
    support.write_job(home, "draw", spec | {"picture": name}, "done", result=result)
    for folder in sorted((home / "jobs").iterdir())[:-1]:
        shutil.rmtree(folder)
    ended = next((home / "jobs").iterdir()) / "ended.json"
    ended.write_text(json.dumps({"state": "done", "at": 1.0, "result": result}))
    page.run()
    assert said in " ".join(each.value for each in (*page.success, *page.warning)) and plain(HOSTILE) in texts(page)


def test_the_settings_of_a_picture_go_into_the_form(open_page, run):
    asked = {"from": "run", "run": "home:tiny", "count": 5, "seed": 42, "labels": [], "options": {}}
    name = keep("own", asked=asked)
    page = open_page("pictures", **{"pictures-view": "gallery", "pictures-open": name})
    page.button(key="pictures-use").click().run()
    assert page.number_input(key="pictures-seed").value == 42 and page.number_input(key="pictures-count").value == 5


def test_a_walk_that_was_made_is_gone_through_with_a_slider(open_page, run, home, started):
    page = open_page("pictures", **{"pictures-view": "between"})
    page.button(key="pictures-make-walk").click().run()
    ((_, spec),) = started
    folder = gallery_of("own").walk(spec["walk"])
    folder.mkdir(parents=True)
    for number in range(spec["steps"]):
        Image.new("L", (8, 8), number).save(folder / f"{number:03}.png")
    Image.new("L", (80, 8)).save(folder / "all.png")
    (folder / "walk.json").write_text(json.dumps({"count": spec["steps"]}))
    page.run()
    page.slider(key=f"pictures-at-{spec['walk'][:16]}").set_value(3).run()
    assert len(started) == 1 and "pictures-make-walk" not in [each.key for each in page.button]


def test_a_recipe_that_cannot_be_trained_is_refused_on_the_page(open_page, run, started):
    page = open_page("pictures", **{"pictures-view": "train", "pictures-recipe": "vae-digits"})
    page.text_area(key="pictures-more-vae-digits").set_value("model.latnet=4")
    page.button(key="pictures-train").click().run()
    assert "latnet" in page.error[0].value and not started
    page.text_area(key="pictures-more-vae-digits").set_value("model.latent=4")
    page.button(key="pictures-train").click().run()
    ((_, spec),) = started
    assert spec["overrides"][-1] == "model.latent=4" and spec["run"] == "home:vae-digits"
    assert page.selectbox(key="pictures-run").value == "home:vae-digits" and not page.exception and not page.error


def test_a_finished_comparison_is_shown_with_its_figures(open_page, home):
    folder = home / "runs" / "compared"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<!doctype html>")
    table = {
        "title": "In the eyes of judge 1",
        "head": ["", "real pictures (n=30)", HOSTILE],
        "rows": [["FID", "0.3", "2 [1, 3]"]],
    }
    kept = {
        "about": [["pictures", "digits"]],
        "tables": [table],
        "curves": {"FID": {"vae": [[1.0, 9.0], [2.0, 4.0]]}},
        "grids": [],
    }
    (folder / "comparison.json").write_text(json.dumps(kept))
    page = open_page("pictures", **{"pictures-view": "compare"})
    assert list(page.dataframe[0].value.iloc[0]) == ["FID", "0.3", "2 [1, 3]"]
    assert not page.error and not page.exception


def test_two_are_needed_to_compare(open_page, home, started):
    page = open_page("pictures", **{"pictures-view": "compare"})
    page.multiselect(key="pictures-compare-recipes").set_value(["ddpm-digits"])
    page.button(key="pictures-compare").click().run()
    assert "fewer than two" in page.error[0].value and not started
    page.multiselect(key="pictures-compare-recipes").set_value(["ddpm-digits", "vae-digits"])
    page.button(key="pictures-compare").click().run()
    ((_, spec),) = started
    assert spec["recipes"] == ["ddpm-digits", "vae-digits"] and spec["run"] == "home:compared"


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_a_model_is_trained_and_its_pictures_drawn_kept_and_drawn_again(live, window):
    pytest.importorskip("diffusers", reason="diffusers is in the generate extra")
    window.set_default_timeout(240_000)  # four processes load torch, on a machine that may do other work
    window.goto(live.url)
    window.get_by_role("link", name="Pictures").click()
    window.get_by_role("radio", name="Train").click()
    window.get_by_text("New training").click()
    steps = window.get_by_role("spinbutton", name="Steps at most")
    steps.fill("20")
    steps.press("Enter")
    window.wait_for_timeout(500)  # the run that the number starts has begun, and a fold opened before its end may close
    window.wait_for_function("() => document.querySelector('.stApp').dataset.testScriptState === 'notRunning'")
    window.get_by_text("The whole recipe").click()
    window.get_by_role("textbox", name="Other keys").fill("training.evaluate_every=0\nmodel.hidden=16")
    window.get_by_role("button", name="Start training").click()
    window.get_by_role("button", name="Draw with it").click()
    window.get_by_role("button", name="Draw", exact=True).click()
    window.get_by_text("They are kept in the gallery").wait_for()
    window.get_by_role("radio", name="Gallery").click()
    window.get_by_role("button", name="Open").first.click()
    window.get_by_role("button", name="Reproduce").click()
    window.get_by_text("every pixel is the same").wait_for()
