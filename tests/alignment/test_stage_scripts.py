"""Each stage is a plain script: alone, under `accelerate launch` with two processes, and refused in one line.

The FSDP and DeepSpeed configurations need GPUs and cannot run here; that accelerate's own class reads them, and what it
reads, is all that is tested of them.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import alignment
from alignment.recipe import RECIPES, as_plain, load_recipe
from alignment.run_folder import folder_of
from alignment.script import main
from alignment.stages import STAGES, train
from alignment.training_arguments import training_arguments
from decoder.runs.folder import RunFolder

pytest.importorskip("trl", reason="the stages train with TRL")
pytestmark = [
    # peft asks transformers for a name that it has given up.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
ROOT = Path(alignment.__file__).parent
CONFIGS = ROOT / "accelerate"
OURS = ("sft", "dpo", "kto", "grpo", "rloo")


def load(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


support = load("trl_stages_support")


def run(*command):
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent), "HF_HUB_OFFLINE": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, timeout=240
    )


def saved(tmp_path, made):
    """The recipe as a file."""
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(as_plain(made)))
    return str(file)


def test_two_processes_learn_as_one_with_twice_the_batch_and_write_nothing_twice(tmp_path, tiny_llama):
    settings = {"max_steps": 3, "per_device_train_batch_size": 2, "save_steps": 3}
    two = support.recipe("sft", tmp_path / "two", tiny_llama, training=settings)
    config = str(CONFIGS / "cpu-two.yaml")
    done = run(
        "accelerate.commands.launch", "--config_file", config, "-m", "alignment.sft", "--config", saved(tmp_path, two)
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("the result is in") == 1
    folder = folder_of(two)
    one = support.recipe("sft", tmp_path / "one", tiny_llama, training={**settings, "per_device_train_batch_size": 4})
    alone = train(one)
    assert support.losses(folder) == pytest.approx(support.losses(alone), rel=1e-4)
    ours, theirs = support.weights(folder.model), support.weights(alone.model)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] - theirs[name]).abs().max() < 1e-4 for name in theirs)
    lines = [line["step"] for line in folder.metrics() if "loss" in line]
    assert lines == [1, 2, 3] and [line["step"] for line in folder.samples()] == [0, 0, 0, 3, 3, 3]
    assert sorted(p.name for p in folder.path.iterdir()) == sorted(p.name for p in alone.path.iterdir())
    assert (folder.path / "checkpoint-3" / "rng_state_1.pth").is_file()


def test_a_script_runs_alone_and_says_where_the_result_is(tmp_path, tiny_llama, capsys):
    made = support.recipe("sft", tmp_path, tiny_llama, training={"max_steps": 1})
    with pytest.raises(SystemExit) as left:
        main("sft", ["--config", saved(tmp_path, made), "--set", "training.learning_rate=1e-3", "--set", "seed=5"])
    assert left.value.code == 0 and f"the result is in {folder_of(made).model}" in capsys.readouterr().out
    assert load_recipe(folder_of(made).path / "recipe.yaml").seed == 5


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path, tiny_llama, capsys):
    made = support.recipe("dpo", tmp_path, tiny_llama)
    with pytest.raises(SystemExit) as left:
        main("dpo", ["--config", saved(tmp_path, made), "--dry-run"])
    said = capsys.readouterr().out
    assert left.value.code == 0 and "12" in said and "tokens" in said and not folder_of(made).path.exists()


@pytest.mark.parametrize(
    ("stage", "more", "said"),
    [
        ("sft", ["--set", "data.trian=x"], "data.trian is unknown. Did you mean train?"),
        ("dpo", [], "is a recipe of the stage sft. Run python -m alignment.sft"),
        ("sft", ["--set", "data.train=/nowhere.jsonl"], "/nowhere.jsonl"),
    ],
)
def test_what_the_reader_can_mend_is_one_line_and_exit_code_2(tmp_path, tiny_llama, capsys, stage, more, said):
    made = support.recipe("sft", tmp_path, tiny_llama)
    with pytest.raises(SystemExit) as left:
        main(stage, ["--config", saved(tmp_path, made), *more])
    error = capsys.readouterr().err
    assert left.value.code == 2 and said in error and error.count("\n") == 1 and error.startswith(f"{stage}: ")


def test_a_dry_run_of_what_would_be_refused_ends_with_2_as_hearth_does(tmp_path, tiny_llama, capsys, monkeypatch):
    template = tmp_path / "endless.jinja"
    template.write_text("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}")
    model = {"path": str(tiny_llama), "chat_template": str(template)}
    file = saved(tmp_path, support.recipe("sft", tmp_path, tiny_llama, model=model))
    with pytest.raises(SystemExit) as left:
        main("sft", ["--config", file, "--dry-run"])
    said = capsys.readouterr()
    assert left.value.code == 2 and "end-of-turn" in said.err and "refused: " in said.out
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        main("sft", ["--config", file, "--dry-run"])
    assert capsys.readouterr() == ("", "")


def test_what_others_wrote_cannot_act_on_the_terminal(tmp_path, tiny_llama, capsys):
    made = support.recipe("sft", tmp_path, tiny_llama, [{"\x1b]0;owned\x07": "x"}])
    with pytest.raises(SystemExit):
        main("sft", ["--config", saved(tmp_path, made)])
    error = capsys.readouterr().err
    assert "owned" in error and "\x1b" not in error and "\x07" not in error


def test_what_is_ours_is_exit_code_1_and_its_traceback_comes_on_request(tmp_path, tiny_llama, capsys, monkeypatch):
    def broken(recipe, resume):
        raise ZeroDivisionError("in the middle")

    monkeypatch.setattr("alignment.stages.train", broken)
    file = saved(tmp_path, support.recipe("sft", tmp_path, tiny_llama))
    for more, lines in (([], 1), (["--debug"], 4)):
        with pytest.raises(SystemExit) as left:
            main("sft", ["--config", file, *more])
        error = capsys.readouterr().err
        assert left.value.code == 1 and "a bug in Hearth: ZeroDivisionError" in error and error.count("\n") >= lines
        assert ("Traceback" in error) == bool(more)


def test_of_several_processes_the_first_alone_speaks(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as left:
        main("sft", ["--config", "no-such-recipe"])
    assert left.value.code == 2 and capsys.readouterr().err == ""


@pytest.mark.parametrize("name", OURS)
def test_a_stages_module_is_its_own_command(name):
    text = (ROOT / f"{name}.py").read_text()
    assert text.endswith(f'if __name__ == "__main__":\n    from alignment.script import main\n\n    main("{name}")\n')
    assert STAGES[name].module == f"alignment.{name}"


@pytest.mark.parametrize(("name", "kind"), [("fsdp", "FSDP"), ("deepspeed", "DEEPSPEED"), ("cpu-two", "MULTI_GPU")])
def test_accelerate_reads_the_configurations(name, kind):
    from accelerate.commands.config.config_args import load_config_from_file

    read = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert read.distributed_type == kind and read.num_machines == 1
    assert read.num_processes == (2 if name == "cpu-two" else 8) and read.use_cpu == (name == "cpu-two")
    assert read.mixed_precision == ("no" if name == "cpu-two" else "bf16")


def test_the_sharded_configurations_leave_whole_weights():
    assert (
        yaml.safe_load((CONFIGS / "fsdp.yaml").read_text())["fsdp_config"]["fsdp_state_dict_type"] == "FULL_STATE_DICT"
    )
    deepspeed = yaml.safe_load((CONFIGS / "deepspeed.yaml").read_text())["deepspeed_config"]
    assert deepspeed["zero_stage"] == 3 and deepspeed["zero3_save_16bit_model"] is True


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("size", ["small", "8b"])
def test_the_recipes_that_ship_are_accepted(tmp_path, name, size):
    made = load_recipe(f"{name}-{size}")
    assert (made.stage, made.name) == (name, f"{name}-{size}")
    args = training_arguments(made, RunFolder(tmp_path), STAGES[name].config)
    assert all(getattr(args, key) == value for key, value in made.training.items() if isinstance(value, (int, float)))
    assert made.model.quantization == ("4bit" if size == "8b" else "none")
    comments = [line for line in (RECIPES / f"{name}-{size}.yaml").read_text().splitlines() if "#" in line]
    assert len(comments) >= 3
