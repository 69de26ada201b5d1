"""The law's constants are found again where they are known; a ladder trains what is missing, and says what it found."""

import json
import math
import random

import pytest

from alignment import scaling
from alignment.errors import DataError
from alignment.scaling import climb, count, load_ladder, rungs, study
from alignment.scaling_fit import Measured, fit_law
from alignment.scaling_report import warnings, write_scaling_report
from decoder.errors import RecipeError

TRUE = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}  # Hoffmann et al.'s own
SIZES, BUDGETS = (1e7, 3e7, 1e8, 3e8, 1e9), (1e8, 3e8, 1e9, 3e9, 1e10)


def points(noise=0.0, seed=0, constants=TRUE, sizes=SIZES, budgets=BUDGETS):
    e, a, b, alpha, beta = (constants[name] for name in ("E", "A", "B", "alpha", "beta"))
    draw = random.Random(seed)
    return [
        Measured(f"{n:g}", int(n), int(d), (e + a / n**alpha + b / d**beta) * math.exp(noise * draw.gauss(0, 1)))
        for n in sizes
        for d in budgets
    ]


def best_size(constants, compute):
    a, b, alpha, beta = (constants[name] for name in ("A", "B", "alpha", "beta"))
    return ((alpha * a) / (beta * b)) ** (1 / (alpha + beta)) * (compute / 6) ** (beta / (alpha + beta))


@pytest.mark.parametrize(
    "constants",
    [
        TRUE,
        {"E": 1.82, "A": 482.0, "B": 2085.4, "alpha": 0.348, "beta": 0.366},  # Besiroglu et al.'s
        {"E": 0.5, "A": 40.0, "B": 900.0, "alpha": 0.6, "beta": 0.5},
    ],
)
def test_constants_are_found_exactly_where_there_is_no_noise(constants):
    law = fit_law(points(constants=constants), [1e20], resamples=0)
    for name, value in constants.items():
        assert law.constants[name].value == pytest.approx(value, rel=1e-3)
    assert law.error < 1e-5
    assert law.optima[0].parameters.value == pytest.approx(best_size(constants, 1e20), rel=1e-3)
    assert law.optima[0].parameters.value * law.optima[0].tokens.value * 6 == pytest.approx(1e20)


@pytest.mark.parametrize("seed", [0, 1])
def test_with_noise_the_true_values_lie_within_the_intervals(seed):
    law = fit_law(points(noise=0.003, seed=seed), [1e20], resamples=40, seed=seed)
    for name, value in TRUE.items():
        figure = law.constants[name]
        assert figure.low < figure.high
        assert (
            figure.low - 0.25 * (figure.high - figure.low) <= value <= figure.high + 0.25 * (figure.high - figure.low)
        )
    best = law.optima[0].parameters
    assert best.low < best.high and 0.8 * best.low < best_size(TRUE, 1e20) < 1.25 * best.high
    assert 0.001 < law.error < 0.006 and law.resamples == 40


def test_the_fit_is_the_same_for_the_same_seed_and_the_order_of_runs_does_not_move_it():
    held = points(noise=0.003)
    assert fit_law(held, resamples=3, seed=3) == fit_law(held, resamples=3, seed=3)
    other = fit_law(held[::-1], resamples=0)
    assert other.constants["alpha"].value == pytest.approx(
        fit_law(held, resamples=0).constants["alpha"].value, rel=1e-3
    )


def test_one_run_gone_wrong_hardly_moves_the_law():
    held = points()
    held[7] = Measured("bad", held[7].parameters, held[7].tokens, held[7].loss * 1.5)
    assert fit_law(held, resamples=0).constants["alpha"].value == pytest.approx(0.34, rel=0.02)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (points()[:7], "there are 7 runs"),
        (points(sizes=SIZES[:2]), "only 2 different sizes"),
        (points(budgets=BUDGETS[:2]), "only 2 different token budgets"),
        ([Measured(m.size, m.parameters, m.tokens, 2.0) for m in points()], "the same loss"),
        ([*points(), Measured("x", 5, 5, math.nan)], "run 25 .*no positive finite"),
        ([*points(), Measured("x", 0, 5, 1.0)], "run 25 "),
    ],
)
def test_what_no_law_can_be_told_from_is_refused(held, said):
    with pytest.raises(DataError, match=said):
        fit_law(held)


def test_the_report_shows_law_optima_runs_and_doubts(tmp_path):
    law = fit_law(points(noise=0.003), [1e18, 1e22], resamples=8)
    page = write_scaling_report(tmp_path, "<ladder>", law, unique_tokens=10**9).read_text()
    text = (tmp_path / "report.md").read_text()
    assert "&lt;ladder>" in text and "<h1>&lt;ladder&gt;</h1>" in page and "<script" not in page
    assert 'aria-label="Loss over size"' in page and 'aria-label="Loss over size at equal compute"' in page
    assert text.count("\n| ") == 6 + 2 + 25 + 3 and "extrapolated" in text
    assert any("more than 4 times" in each for each in warnings(law, 10**9)) and not warnings(law, 0)[1:]
    assert json.loads((tmp_path / "law.json").read_text())["constants"]["alpha"]["value"] == pytest.approx(
        0.34, abs=0.03
    )
    assert write_scaling_report(tmp_path, "<ladder>", law, 10**9).read_text() == page


LADDER = """
name: tiny
output: {output}
sizes:
  small: {{}}
  middle: {{num_hidden_layers: 2}}
  large: {{hidden_size: 64, intermediate_size: 96}}
tokens: [64, 128, 256]
compute: [1e7]
architecture: {{hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 1,
  num_key_value_heads: 1, max_position_embeddings: 32, vocab_size: 280}}
data: {{train: {data}, eval_fraction: 0.2}}
training: {{max_length: 32, per_device_train_batch_size: 2, learning_rate: 1e-2}}
bootstrap: 3
"""


@pytest.fixture(scope="module")
def ladder_file(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("ladder"), random.Random(0)
    words = ["fire", "house", "bread", "rain", "road"]
    rows = [{"text": " ".join(draw.choices(words, k=20)) + f" {number}"} for number in range(20)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = folder / "ladder.yaml"
    file.write_text(LADDER.format(output=folder / "out", data=folder / "texts.jsonl"))
    return file


def test_a_ladder_is_climbed_once_and_goes_on_where_it_stopped(ladder_file, tmp_path, monkeypatch):
    from alignment.pretrain import run

    ladder = load_ladder(ladder_file)
    climbing = climb(ladder)
    first = [next(climbing), next(climbing)]
    climbing.close()

    trained = []
    monkeypatch.setattr("alignment.pretrain.run", lambda recipe, resume: trained.append(resume) or run(recipe, resume))
    told = []
    law = study(ladder, told.append)
    assert trained == [True, True, *[False] * 7] and told[:2] == first
    assert len({one.parameters for one in told}) == 3 and {one.tokens for one in told} == {64, 128, 256}
    assert all(3 < one.loss < 7 for one in told) and law.measured == tuple(told)
    assert (ladder_file.parent / "out" / "report.html").is_file()
    before = {p: p.stat().st_mtime_ns for p in ladder_file.parent.rglob("model.safetensors")}
    assert study(ladder) == law
    assert {p: p.stat().st_mtime_ns for p in ladder_file.parent.rglob("model.safetensors")} == before


def test_the_command_says_one_line_and_two_for_the_users_fault(capsys, tmp_path):
    assert scaling.main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("token=[1k]", "Did you mean tokens?"),
        ("tokens=[many, 2k, 3k]", "'many' is no number of tokens"),
        ("sizes.large.hidden_sise=64", "Did you mean hidden_size?"),
        ("sizes.large.hidden_size=48", "head size 48"),
        ("data.eval_fraction=0", "no evaluation rows"),
        ("output=null", "output is empty"),
        ("training.max_length='64'", "training.max_length is '64', no whole number"),
        ("training.per_device_train_batch_size=0", "no whole number from 1"),
        ("name=../up", "is no name"),
    ],
)
def test_what_is_no_ladder_is_refused_before_anything_is_trained(ladder_file, override, said):
    with pytest.raises(RecipeError, match=said.replace("?", r"\?")):
        rungs(load_ladder(ladder_file, [override]))


@pytest.mark.parametrize(("text", "tokens"), [("64k", 64_000), ("1.5M", 1_500_000), ("300", 300), ("2G", 2 * 10**9)])
def test_budgets_are_written_short(text, tokens):
    assert count(text) == tokens


def test_the_ladder_that_ships_has_sixteen_rungs_of_four_sizes():
    held = rungs(load_ladder("scaling-small"))
    assert len(held) == 16 and {rung.size for rung in held} == {"w32", "w64", "w96", "w128"}
    assert [rung.recipe.training["max_steps"] for rung in held[::4]] == [188, 375, 750, 1500]
