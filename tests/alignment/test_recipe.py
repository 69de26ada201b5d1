"""A recipe is read strictly: what is unknown, missing or of another kind is refused with what was probably meant."""

import pytest

from alignment.recipe import as_plain, fingerprint, load_recipe, make_recipe
from alignment.run_folder import folder_of, open_run
from alignment.training_arguments import training_arguments
from decoder.errors import RecipeError

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


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("max_steps=2.5", "training.max_steps is 2.5, not a whole number"),
        ("max_steps=many", "training.max_steps is 'many', not a whole number"),
        ("max_length='512'", "training.max_length is '512', not a whole number"),
        ("per_device_train_batch_size=0", "training.per_device_train_batch_size is 0. Give at least 1"),
        ("num_train_epochs=[1]", "not a number"),
        ("learning_rate=fast", "not a number"),
        ("learning_rate=nan", "not a number"),
        ("deepspeed=nowhere.json", "training: "),
        ("packing=1", "training.packing is 1, not true or false"),
        ("max_steps=true", "not a whole number"),
        ("chat_template_path=other.jinja", "Say it with model.chat_template"),  # the guard looks at the tokenizer's
        ("eos_token=x", "training.eos_token is not set here"),
        ("dataset_kwargs={skip_prepare_dataset: true}", "training.dataset_kwargs is not set here"),
    ],
)
def test_training_values_of_another_kind_are_refused_before_anything_is_read(file, override, said):
    pytest.importorskip("trl")
    recipe = load_recipe(file, [f"training.{override}"])
    with pytest.raises(RecipeError) as refused:
        training_arguments(recipe, folder_of(recipe), "trl:SFTConfig")
    assert said in str(refused.value)


def test_training_values_are_taken_as_yaml_writes_them(file):
    pytest.importorskip("trl")
    overrides = ["save_strategy=no", "max_steps=3.0", "num_train_epochs=2", "max_length=null", "weight_decay=1e-2"]
    recipe = load_recipe(file, [f"training.{each}" for each in overrides])  # no is false in YAML 1.1, 1e-2 a text
    made = training_arguments(recipe, folder_of(recipe), "trl:SFTConfig")
    assert (made.save_strategy, made.max_steps, made.num_train_epochs) == ("no", 3, 2)
    assert (made.max_length, made.weight_decay) == (None, 0.01)


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
