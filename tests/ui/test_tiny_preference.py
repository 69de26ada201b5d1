"""The measure of preference training: answers judged, paired with the base's, and the nats averaged."""

import json

import pytest

pytest.importorskip("trl", reason="training stands on TRL")

from alignment import policies
from alignment.policies import Answer
from prompts.grounded import REFUSAL
from ui.cli.main import main
from ui.tiny.preference import AT_ONCE, held_out, learnt, spent, wins

CASES = AT_ONCE + 4


class FakePolicies:
    """A base that rambles, an adapter that answers as preferred, and one that always abstains."""

    def __init__(self, base, adapters):
        assert (base, list(adapters)) == ("base", ["good", "shy"])

    def draw(self, adapter, rows, seed):
        assert 0 < len(rows) <= AT_ONCE
        if adapter is None:
            return [Answer("Well, let us see.", 0.0) for _ in rows]
        if adapter == 1:
            return [Answer(REFUSAL, 1.0) for _ in rows]
        return [Answer(f"{row['span']} [1]." if row["span"] else REFUSAL, float(at % 2)) for at, row in enumerate(rows)]


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(policies, "Policies", FakePolicies)


def test_each_policy_is_judged_by_the_preference_and_paired_with_the_base(fake):
    events = []
    base, good, shy = learnt("base", ["good", "shy"], CASES, 0, events.append)
    unanswered = sum(not row["span"] for row in held_out(CASES, 0))
    assert 0 < unanswered < CASES
    assert [_counts(each) for each in (base, good, shy)] == [
        [(0, CASES), (0, CASES - unanswered), (0, unanswered)],
        [(CASES, CASES), (CASES - unanswered, CASES - unanswered), (unanswered, unanswered)],
        [(unanswered, CASES), (0, CASES - unanswered), (unanswered, unanswered)],
    ]
    assert base.wins is None and base.kl is None
    assert good.wins.value == 1
    assert shy.wins.value == pytest.approx(0.5 + unanswered / CASES / 2)
    assert (good.kl.nats, shy.kl.nats, shy.kl.standard_error) == (0.5, 1, 0)
    assert (base.words.value, shy.words.value) == (4, len(REFUSAL.split()))
    assert [event.done for event in events] == [0, 16, 20, 36, 40, 56] and {event.total for event in events} == {60}


def test_a_loss_is_nothing_a_tie_a_half_and_the_error_is_that_of_the_mean():
    assert wins([True, True, False, False], [True, False, True, False]).value == 0.5
    assert wins([False, False], [True, True]).value == 0
    assert spent([1.0, 3.0, 5.0, 7.0]).nats == 4
    assert spent([1.0, 3.0, 5.0, 7.0]).standard_error == pytest.approx((20 / 3) ** 0.5 / 2)


def test_prompts_are_the_same_for_the_same_seed_and_name_their_span():
    assert held_out(5, 1) == held_out(5, 1) != held_out(5, 2)
    for row in held_out(20, 0):
        assert row["prompt"][-1]["role"] == "user"
        assert row["span"].lower() in row["prompt"][-1]["content"].lower()


def test_the_command_prints_a_table_and_keeps_what_json_says(fake, tmp_path, capsys):
    kept = tmp_path / "kept.json"
    arguments = ["tiny", "preference", "base", "good", "shy", "--cases", str(CASES), "--out", str(kept)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"good: preferred\t{CASES} of {CASES}\t1.000" in "\n".join(lines)
    assert any(line.startswith("shy: nats from the first\t20 answers\t1.000\tstandard error 0.000") for line in lines)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(kept.read_text())
    assert main([*arguments[:-1], str(tmp_path / "no" / "kept.json")]) == 2


def test_real_models_are_measured_and_merged(tiny_llama, make_adapter, tmp_path, capsys):
    adapter = str(make_adapter(seed=1))
    assert main(["tiny", "preference", str(tiny_llama), adapter, "--cases", "2", "--json"]) == 0
    base, taught = json.loads(capsys.readouterr().out)["models"]
    assert base["kl"] is None and taught["kl"]["nats"] > 0
    assert main(["tiny", "merge", str(tiny_llama), adapter, "--out", str(tmp_path / "whole")]) == 0
    assert (tmp_path / "whole" / "model.safetensors").is_file()


def _counts(one):
    return [(score.right, score.of) for score in one.scores]
