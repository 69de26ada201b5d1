"""The registry and the gate on the page: what is registered, what was refused and why, and what answers now."""

import json
import time

import pytest

from alignment.evaluate_rules import Example, GateResult, GateRules, broken_rules, figure
from alignment.registry_artefact import Artefact
from alignment.registry_history import history, record
from decoder import alias
from ui.browser import align_gate_view, align_promote_job, align_registry_view
from ui.browser.align_servers import Served

ID = "mine-0123abcd"
SERVER = Served("tiny", "tiny", "/models/tiny", ("tiny",))


@pytest.fixture
def registered(home):
    """An adapter in the registry, split data beside it; nothing is trained."""
    (home / "datasets").mkdir()
    for part in ("train", "held-out"):
        (home / "datasets" / f"talk-{part}.jsonl").write_text('{"prompt": "Say it.", "completion": "It."}\n')
    found = Artefact(
        id=ID,
        kind="adapter",
        stage="sft",
        created=time.time(),
        weights_sha256="0123abcd" * 8,
        base="/models/tiny",
        parents=("start-00000000",),
        data={"source": str(home / "datasets" / "talk-train.jsonl"), "sha256": "d" * 64, "train_rows": 7},
        recipe={"stage": "sft", "name": "mine", "training": {"max_steps": 20}},
        recipe_sha256="e" * 64,
        metrics={"train_loss": 0.5},
    )
    (found.folder / "model").mkdir(parents=True)
    (found.folder / "artefact.json").write_text(json.dumps(found.plain()))
    record("register", id=ID)
    return found


@pytest.fixture
def serving(monkeypatch):
    monkeypatch.setattr(align_registry_view, "running", lambda: [SERVER])


def button(page, key):
    return next((each for each in page.button if each.key == key), None)


def said(*groups):
    return " ".join(str(each.value) for group in groups for each in group).replace("\\", "")


def refusing():
    """A gate that measured a loss that is worse, and too few questions."""
    found = [figure("loss", [2.0, 2.2, 2.4], [1.0, 1.1, 1.2])]
    reasons = broken_rules(found, GateRules())
    return GateResult(ID, "tiny", False, reasons, tuple(found), (Example("a", "b", "c"),), ("Perplexity: 9.",))


def ended(home, result, **spec):
    """A job "promote" that is over."""
    folder = home / "jobs" / "20261130-120000-abcdef"
    folder.mkdir(parents=True)
    asked = {"kind": "promote", "title": ID, "person": "", "started": 1.0, "spec": {"artefact": ID, **spec}}
    (folder / "job.json").write_text(json.dumps(asked))
    (folder / "ended.json").write_text(json.dumps({"state": "done", "at": 2.0, "result": result}))


def test_an_artefact_is_shown_with_all_that_it_comes_from(open_page, registered):
    page = open_page("alignment", align_view="models")
    facts = next(frame.value for frame in page.dataframe if "What" in frame.value)
    for fact in ("/models/tiny", "start-00000000", registered.data["source"], "d" * 64, "e" * 64, "7"):
        assert fact in list(facts["Value"])
    assert "max_steps: 20" in page.code[0].value
    assert any("register" in list(frame.value.get("What", ())) for frame in page.dataframe)


def test_held_out_rows_of_its_own_data_are_proposed_and_the_gate_can_be_asked(open_page, registered, serving):
    page = open_page("alignment", align_view="models")
    held_out = next(each for each in page.selectbox if each.key == "align_held_out")
    assert held_out.value == registered.data["source"].replace("train", "held-out")
    assert not button(page, "align_promote").disabled
    held_out.select("").run()
    assert button(page, "align_promote").disabled and button(page, "align_measure").disabled
    assert "Choose rows to measure it on" in said(page.caption)


def test_a_refusal_is_shown_with_rule_figure_and_interval(open_page, registered, serving, home):
    gate = json.loads(json.dumps(refusing().plain()))
    ended(home, {"promoted": False, "refused": "did not pass", "base": "tiny", "gate": gate})
    page = open_page("alignment", align_view="models")
    assert "goes on answering" in page.error[0].value
    reasons = said(page.markdown)
    assert "3 questions are too few, 10 are asked for" in reasons
    assert "worse by 1.2, more than the 0.05 allowed" in reasons
    figures = next(frame.value for frame in page.dataframe if "95 % interval" in frame.value)
    row = figures.iloc[0]
    assert (row["Figure"], row[ID], row["tiny"], row["Questions"]) == ("Loss", "2.200", "1.100", "3")
    low, high = (float(each) for each in row["95 % interval"].split(" … "))
    assert low <= -1.0 <= high + 0.2 and low < high
    assert button(page, "align_promote") is not None, "it can be tried again with other rules"


def test_what_answers_is_said_and_taken_back_only_after_a_second_yes(open_page, registered, serving, monkeypatch):
    alias.switch("tiny", ID, "")
    page = open_page("alignment", align_view="models")
    assert f"On **tiny**: **{ID}**" in said(page.markdown)
    assert "answers for tiny" in said(page.success)
    assert button(page, "align_promote") is None
    taken = []
    monkeypatch.setattr(align_registry_view, "roll_back", taken.append)
    button(page, "align_rollback_tiny").click().run()
    assert taken == ["tiny"]
    alias.switch("tiny", "", None)
    assert "the base model itself" in said(open_page("alignment", align_view="models").markdown)


def test_an_end_makes_the_page_look_for_decoders_anew(open_page, registered, serving, home, monkeypatch):
    forgotten = []
    monkeypatch.setattr(align_gate_view.opened, "forget_decoders", lambda: forgotten.append(True))
    ended(home, {"promoted": True, "base": "tiny", "model": ID, "before": "tiny"})
    page = open_page("alignment", align_view="models")
    assert "from now on" in said(page.success) and forgotten == [True]
    page.run()
    assert forgotten == [True], "once"


def test_the_job_refuses_to_measure_nothing_and_takes_rules_from_the_form(registered):
    with pytest.raises(Exception, match="nothing to measure"):
        align_promote_job.suite_of({"artefact": ID})
    rules = align_promote_job.rules_of({"min_questions": 4, "tolerance": {"loss": 0.5, "odd": 1}, "min_win_rate": 0.4})
    assert (rules.min_questions, rules.tolerance["loss"], rules.min_win_rate) == (4, 0.5, 0.4)
    assert "odd" not in rules.tolerance and rules.tolerance["accuracy"] == 0.05
    assert history()[0]["event"] == "register"
