"""A recipe is read strictly: what is unknown, missing or of another kind is refused with what was probably meant."""

import pytest

from alignment.errors import RecipeError
from alignment.recipe import as_plain, fingerprint, load_recipe, make_recipe
from alignment.run_folder import open_run
from alignment.training_arguments import training_arguments

TEXT = """
stage: sft
name: mine
model: {path: here}
data: {train: rows.jsonl, columns: {prompt: question}}
lora: {r: 4, target_modules: [q_proj]}
training: {learning_rate: 1e-4, max_steps: 3}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT)
    return path


def test_sections_become_data_and_the_rest_keeps_its_defaults(file):
    recipe = load_recipe(file)
    assert (recipe.stage, recipe.model.path, recipe.data.columns) == ("sft", "here", {"prompt": "question"})
    assert recipe.lora.r == 4 and recipe.lora.target_modules == ("q_proj",) and recipe.lora.alpha == 16
    assert make_recipe(as_plain(recipe)) == recipe


def test_an_override_wins_over_the_file_and_makes_missing_sections(file):
    recipe = load_recipe(file, ["data.max_rows=5", "reward.model=judge", "lora=null", "training.max_steps=9"])
    assert recipe.data.max_rows == 5 and recipe.reward.model == "judge" and recipe.lora is None
    assert recipe.training["max_steps"] == 9


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("datas.train=x", "Did you mean data?"),
        ("data.trian=x", "Did you mean train?"),
        ("stage=sftt", "Did you mean sft?"),
        ("data.max_rows=many", "data.max_rows is 'many', not of kind int"),
        ("data.skip_bad=1", "not of kind bool"),
        ("name=../up", "is no name"),
        ("training", "is no key=value"),
        ("name.more=1", "has no keys"),
    ],
)
def test_what_is_not_a_recipe_is_refused(file, override, said):
    with pytest.raises(RecipeError, match=said.replace("?", r"\?").replace(".", r"\.")):
        load_recipe(file, [override])


def test_a_missing_file_names_the_recipes_that_ship(tmp_path):
    with pytest.raises(RecipeError, match="there is no file"):
        load_recipe(tmp_path / "none.yaml")


def test_the_fingerprint_is_of_what_is_taught_not_of_where_it_goes(file):
    plain = fingerprint(load_recipe(file))
    assert fingerprint(load_recipe(file, ["output=elsewhere", "tracking=[tensorboard]"])) == plain
    assert fingerprint(load_recipe(file, ["seed=1"])) != plain


def test_training_keys_are_those_of_the_stages_own_configuration(file, tmp_path):
    pytest.importorskip("trl")
    recipe = load_recipe(file, [f"output={tmp_path / 'run'}"])
    folder = open_run(recipe)
    made = training_arguments(recipe, folder, "trl:SFTConfig", packing=False)
    assert (made.learning_rate, made.max_steps, made.output_dir) == (1e-4, 3, str(folder.path))
    with pytest.raises(RecipeError, match=r"Did you mean learning_rate\?"):
        training_arguments(load_recipe(file, ["training.learning_rat=1"]), folder, "trl:SFTConfig")
    with pytest.raises(RecipeError, match="Say it with output"):
        training_arguments(load_recipe(file, ["training.output_dir=x"]), folder, "trl:SFTConfig")


def test_a_run_is_gone_on_with_only_on_request_and_only_by_its_own_recipe(file, tmp_path):
    recipe = load_recipe(file, [f"output={tmp_path / 'run'}"])
    folder = open_run(recipe)
    folder.log(1, {"loss": 2.0})
    folder.log(2, {"loss": float("nan")})
    folder.log(3, {"loss": 1.0})
    with pytest.raises(RecipeError, match="already holds a run"):
        open_run(recipe)
    with pytest.raises(RecipeError, match="is of another recipe"):
        open_run(load_recipe(file, [f"output={tmp_path / 'run'}", "seed=7"]), resume=True)
    again = open_run(recipe, resume=True)
    again.forget_after(2)
    assert again.metrics() == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}]
    assert load_recipe(folder.path / "recipe.yaml") == recipe
