"""What the page "pictures" stands on: the gallery and its paths, runs and whose they are, recipes as the form asks."""

import dataclasses
import fcntl
import json
import os

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from decoder.errors import RecipeError, UsageError
from generators.errors import ImageError
from ui.browser import picture_recipes as recipes
from ui.browser.picture_gallery import gallery_of, new_ids, owner_of
from ui.browser.picture_made import again_settings, facts_of
from ui.browser.picture_runs import every_run, find_run, new_run_id, run_folder

HOSTILE = "<script>alert(1)</script> ![x](http://example.com/x.png) :red[x] $x$"


@pytest.fixture
def gallery(home):
    return gallery_of("own").made()


def keep(gallery, name, text=None, key="hearth-run"):
    info = PngInfo()
    if text is not None:
        info.add_itxt(key, text)
    Image.new("L", (8, 8)).save(gallery.path / f"{name}.png", pnginfo=info)
    return name


def metadata(**changes):
    from generators.run_pictures import RunPictureMetadata

    plain = dataclasses.asdict(RunPictureMetadata("tiny", "vae", "0" * 64, 1, 2, 0))
    return json.dumps({"format": 1, **plain, **changes})


def test_the_newest_pictures_come_first_and_those_of_one_drawing_in_their_order(gallery):
    old, new = "20260101-000000-00000000", "20260102-000000-00000000"
    for name in (f"{old}-000", f"{new}-001", f"{new}-000", f"{old}-001"):
        keep(gallery, name)
    keep(gallery, "not-ours")
    assert gallery.every() == [f"{new}-000", f"{new}-001", f"{old}-000", f"{old}-001"]


@pytest.mark.parametrize("name", ["", "..", "../own/x", "/etc/passwd", "20260101-000000-00000000-000/../x", "a\0b"])
def test_only_ids_that_we_gave_are_paths(gallery, name):
    for reach in (gallery.file, gallery.delete, gallery.asked, gallery.walk, gallery.input):
        with pytest.raises(UsageError):
            reach(name)
    with pytest.raises(UsageError):
        gallery_of(name)
    with pytest.raises(UsageError):
        run_folder(f"home:{name}")


def test_a_link_in_the_gallery_is_no_picture(gallery, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (name,) = new_ids(1)
    (gallery.path / f"{name}.png").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError):
        gallery.file(name)


def test_a_deleted_picture_takes_along_what_was_known_of_it(gallery):
    (name,) = new_ids(1)
    gallery.note(keep(gallery, name), {"from": "run"})
    assert gallery.asked(name) == {"from": "run"}
    gallery.delete(name)
    assert list(gallery.path.iterdir()) == []


def test_each_person_has_a_gallery_of_their_own(home):
    anna, ben = owner_of("anna@example.com"), owner_of("ben@example.com")
    assert owner_of("") == "own" and len({anna, ben, "own"}) == 3
    keep(gallery_of(anna).made(), new_ids(1)[0])
    assert gallery_of(ben).every() == [] and len(gallery_of(anna).every()) == 1


def test_what_a_picture_says_is_read_by_a_schema_and_shown_as_it_is(gallery):
    said = keep(gallery, new_ids(1)[0], metadata(captions=[HOSTILE, HOSTILE]))
    assert dict(facts_of(gallery.file(said)))["captions"] == json.dumps([HOSTILE, HOSTILE])
    for wrong in (
        metadata(number=2),
        metadata(count=10**9),
        metadata(extra="x"),
        metadata(captions=["a"]),
        metadata(seed=1.0),
        "[" * 100_000,
        "{}",
    ):
        with pytest.raises(ImageError):
            facts_of(gallery.file(keep(gallery, new_ids(1)[0], wrong)))
    with pytest.raises(ImageError, match="does not say"):
        facts_of(gallery.file(keep(gallery, new_ids(1)[0])))


def test_a_picture_to_start_from_is_decoded_and_written_anew(gallery, tmp_path):
    info = PngInfo()
    info.add_text("comment", HOSTILE)
    Image.new("RGB", (20, 10), "red").save(tmp_path / "given.png", pnginfo=info)
    name = gallery.keep_input((tmp_path / "given.png").read_bytes())
    with Image.open(gallery.input(name)) as kept:
        assert kept.size == (20, 10) and not kept.text
    assert [file.suffix for file in (gallery.path / "inputs").iterdir()] == [".png"]
    Image.new("RGB", (8, 8)).save(
        tmp_path / "moves.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")]
    )
    for wrong in (b"", b"GIF89a", b"<svg/>", (tmp_path / "moves.gif").read_bytes()):
        with pytest.raises(ImageError):
            gallery.keep_input(wrong)


def test_settings_of_a_picture_fill_the_form():
    asked = {"from": "run", "run": "home:tiny", "count": 4, "seed": 7, "labels": [3, 3, 1, 3], "options": {"steps": 9}}
    filled = again_settings(asked)
    assert (filled["pictures-model"], filled["pictures-seed"], filled["pictures-labels"]) == ("home:tiny", 7, [3, 1])
    assert filled["pictures-run-steps"] == 9
    assert again_settings({"from": "pipeline", "prompt": "a cat"})["pictures-prompt"] == "a cat"


def write_run(place, name, **state):
    (place / name).mkdir(parents=True)
    (place / name / "run.json").write_text(json.dumps({"family": "vae", "name": name, "status": "finished", **state}))


def test_people_see_their_own_runs_and_only_admins_those_of_the_command_line(home, monkeypatch):
    monkeypatch.chdir(home)
    write_run(home / "runs", "u0123456789-mine")
    write_run(home / "runs", "u9999999999-theirs")
    write_run(home / "runs", "an-adapter", family="lora")
    monkeypatch.setenv("HEARTH_GENERATORS_RUNS", str(home / "command-line"))
    write_run(home / "command-line", "made")
    assert [run.name for run in every_run("u0123456789-", admin=False)] == ["mine"]
    assert {run.id for run in every_run("u0123456789-")} == {"home:u0123456789-mine", "here:made"}
    with pytest.raises(UsageError):
        find_run("home:u9999999999-theirs", "u0123456789-")


def test_a_run_that_no_process_holds_was_killed(home):
    write_run(home / "runs", "tiny", status="running", pid=os.getpid())
    handle = os.open(home / "runs" / "tiny", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert find_run("home:tiny").status == "running"
    os.close(handle)
    assert find_run("home:tiny").status == "killed"


def test_a_new_run_gets_a_name_of_its_own(home):
    assert new_run_id("tiny", "u1-") == "home:u1-tiny"
    write_run(home / "runs", "u1-tiny")
    assert new_run_id("tiny", "u1-") == "home:u1-tiny-2"
    for wrong in ("", "../x", "a/b", "a b", "x" * 61):
        with pytest.raises(UsageError):
            new_run_id(wrong)


def test_each_recipe_says_what_it_is_for():
    found = {each.name: each.about for each in recipes.shipped()}
    assert recipes.FIRST in found and all(len(about) > 20 for about in found.values())


def test_the_form_becomes_overrides_that_are_checked_strictly():
    form = recipes.defaults("vae-digits") | {"seconds": 5.0, "source": "my: odd #folder"}
    asked = recipes.overrides_of(form, "model.latent=4\n# a remark\n")
    assert "training.budget_seconds=5.0" in asked and asked[-1] == "model.latent=4"
    recipes.check("vae-digits", asked)
    for wrong in ("model.latnet=4", "training.batch_size=many", "nonsense", "training.budget_seconds=0"):
        with pytest.raises(RecipeError):
            recipes.check("vae-digits", recipes.overrides_of(form, wrong))
    for ours in ("output=/etc", "name=x", "tracking=[wandb]"):
        with pytest.raises(RecipeError, match="set by this page"):
            recipes.overrides_of(form, ours)
    with pytest.raises(RecipeError, match="no such recipe"):
        recipes.check("/etc/passwd", [])
