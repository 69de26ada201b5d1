"""Rewards: functions of the user's own, the ones that ship, and what is refused."""

import time

import pytest

from alignment.errors import DataError, ModelError
from alignment.recipe import make_recipe
from alignment.reward_functions import begins_with_answer, exact_answer, format_pattern, load_function, shortness
from alignment.reward_sources import checked, gold_function, reward_functions
from decoder.errors import RecipeError


def said(*texts):
    return [[{"role": "assistant", "content": text}] for text in texts]


def recipe(**reward):
    return make_recipe({"stage": "grpo", "name": "r", "reward": reward})


def test_a_function_is_found_in_a_module_or_a_file(tmp_path):
    assert load_function("alignment.reward_functions:shortness") is shortness
    file = tmp_path / "mine.py"
    file.write_text("def half(completions, **_):\n    return [0.5] * len(completions)\n")
    assert load_function(f"{file}:half")(["x", "y"]) == [0.5, 0.5]


@pytest.mark.parametrize(
    "name", ["", "shortness", "no.such.module:f", "alignment.reward_functions:nothing", "gone.py:f", "json:f(1)"]
)
def test_one_that_is_not_there_is_refused(name):
    with pytest.raises(RecipeError, match="reward function"):
        load_function(name)


def test_a_module_that_fails_says_why(tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(RecipeError, match="ZeroDivisionError"):
        load_function(f"{tmp_path / 'bad.py'}:f")


def test_weights_are_in_the_figures_and_names_are_the_functions():
    (source,) = reward_functions(recipe(function="alignment.reward_functions:shortness", function_weight=2.0), None)
    assert source.__name__ == "shortness"
    assert source(prompts=["p"], completions=["one two"], answer=["x"]) == [pytest.approx(2 * 0.98)]


def test_no_reward_and_no_gold():
    with pytest.raises(RecipeError, match="grpo has no reward"):
        reward_functions(recipe(), None)
    assert gold_function(recipe(), None) is None
    assert gold_function(recipe(gold="alignment.reward_functions:shortness"), None)(prompts=[""], completions=[""]) == [
        1
    ]


def test_a_function_gets_the_columns_that_it_asks_for():
    def asks(completions, answer):
        return [float(a) for a in answer]

    assert checked(asks, "asks")(prompts=["p"], completions=["c"], answer=[3], other=[4]) == [3.0]


@pytest.mark.parametrize(
    ("given", "cause", "row"),
    [
        ([1.0], "gave 1 figures for 2", None),
        (None, "gave NoneType, no list", None),
        ([1.0, None], "gave None for row 1", 1),
        ([float("nan"), 1.0], "gave nan for row 0", 0),
        ([1.0, float("-inf")], "gave -inf for row 1", 1),
        ([1.0, "good"], "gave 'good' for row 1", 1),
        ([10**400, 1.0], "gave 1000+ for row 0", 0),
    ],
)
def test_figures_that_are_none_name_the_function_and_the_row(given, cause, row):
    with pytest.raises(DataError, match=f"mine {cause}") as raised:
        checked(lambda completions: given, "mine")(prompts=["p", "q"], completions=["c", "d"])
    assert raised.value.row == row and raised.value.field == "mine"


def test_figures_may_be_of_any_kind_of_number():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    kinds = ([True, 2], (1, 2.0), numpy.array([1, 2]), numpy.float32([1, 2]), torch.tensor([1.0, 2.0]))
    for given in kinds:
        found = checked(lambda completions, given=given: given, "mine")(prompts=["p", "q"], completions=["c", "d"])
        assert found == [1.0, 2.0] and {type(figure) for figure in found} == {float}
    pair = torch.tensor([1 + 1j, 2.0])
    with pytest.raises(DataError, match="mine gave"):
        checked(lambda completions: pair, "mine")(prompts=["p", "q"], completions=["c", "d"])


def test_a_function_that_raises_is_named():
    with pytest.raises(DataError, match="mine raised KeyError: 'answer'"):
        checked(lambda **columns: columns["answer"], "mine")(prompts=["p"], completions=["c"])


def test_an_answer_may_come_first_and_be_explained():
    completions = said("Paris. It is the capital.", "paris", "Parish records", "It is Paris", "")
    assert begins_with_answer(completions, answer=["Paris"] * 5) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_an_exact_answer_is_what_follows_the_mark_or_the_last_word():
    completions = said("6 * 7 = 42 #### 42", "so it is $1,000.", "#### 41", "It is PARIS.", "")
    gold = ["17 + 25 = 42\n#### 42", "1000", "42", "Paris", "x"]
    assert exact_answer(completions, answer=gold) == [1.0, 1.0, 0.0, 1.0, 0.0]


def test_shortness_falls_with_the_words():
    assert shortness(["", "one", "word " * 100, "word " * 500]) == [1.0, 0.99, 0.0, 0.0]


def test_a_format_is_matched_whole_and_within_time():
    assert format_pattern(said("Answer: 4", "Answer: four"), pattern=[r"Answer: \d+"] * 2) == [1.0, 0.0]
    began = time.monotonic()
    assert format_pattern(["a" * 40 + "!"], pattern=["(a+)+"]) == [0.0]
    assert format_pattern(["x" * 30_000], pattern=["x*"]) == [0.0]
    assert time.monotonic() - began < 20
    with pytest.raises(RecipeError, match="pattern"):
        format_pattern(["x"], pattern=["("])


def test_a_reward_model_of_another_tokenizer_is_refused(tiny_llama, tmp_path):
    pytest.importorskip("transformers", reason="tokenizers are read with transformers")
    from benchmarks import ppo_toy

    ours = ppo_toy.tokenizer()
    for model, said in ((tiny_llama, "another tokenizer"), (tmp_path / "none", "there is no model")):
        with pytest.raises(ModelError, match=said):
            reward_functions(recipe(model=str(model)), ours)
