"""The reward stage from recipe to scores: it learns what is preferred, says what that is worth, and can be resumed."""

import json
import os
import random
import signal
from pathlib import Path

import pytest
import torch

from alignment.errors import DataError, ModelError
from alignment.recipe import load_recipe, make_recipe
from alignment.report import write_report
from alignment.reward import run, stage_of
from alignment.reward_model import new_reward_model
from alignment.scoring import CONFIG, RewardModel
from alignment.sections import ModelSection
from alignment.training_arguments import training_arguments
from decoder.errors import Diverged, Stopped
from decoder.runs.folder import RunFolder

# peft 0.21 asks transformers 5.19 for a name that is going out.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

WORDS = ["bread", "house", "evening", "token", "middle", "people", "France", "answer", "limit", "left"]
HH = Path(os.environ.get("HEARTH_TEST_DATA", Path(__file__).parents[2] / "../shared/data")) / "hh"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def learner(tiny_llama, tmp_path_factory):
    """A Llama of 0.1M parameters and small weights, which learns in seconds what the tiny one learns by heart."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("learner")
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig.from_pretrained(
            tiny_llama,
            hidden_size=64,
            intermediate_size=128,
            head_dim=16,
            num_hidden_layers=2,
            initializer_range=0.05,
        )
    ).save_pretrained(folder)
    return folder


def phrase(draw, count):
    return " " + " ".join(draw.choice(WORDS) for _ in range(count))


def shorter_is_better(draw):
    less = draw.randint(1, 4)
    chosen, rejected = phrase(draw, less), phrase(draw, less + draw.randint(2, 6))
    return {"prompt": phrase(draw, 3), "chosen": chosen, "rejected": rejected}


def oven_is_better(draw):
    """Three of four words, and the better one also says "oven", anywhere."""
    chosen = phrase(draw, 3).split()
    chosen.insert(draw.randint(0, 3), "oven")
    return {"prompt": phrase(draw, 3), "chosen": " " + " ".join(chosen), "rejected": phrase(draw, 4)}


def ranked_by_length(draw):
    counts = draw.sample(range(1, 12), 4)
    order = sorted(counts)
    return {
        "prompt": phrase(draw, 3),
        "responses": [phrase(draw, count) for count in counts],
        "ranks": [order.index(count) + 1 for count in counts],
    }


def written(folder, rows, name="rows.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def recipe(tiny_llama, folder, train, evaluated="", name="run", **training):
    settings = {"per_device_train_batch_size": 8, "learning_rate": 3e-4, "logging_steps": 5, "save_strategy": "no"}
    return make_recipe(
        {
            "stage": "reward",
            "name": "reward-test",
            "output": str(folder / name),
            "model": {"path": str(tiny_llama)},
            "data": {"train": train, "eval": evaluated, "deduplicate": False},
            "training": {**settings, **training},
            "register": False,
        }
    )


@pytest.mark.parametrize("preference", [shorter_is_better, oven_is_better, ranked_by_length])
def test_a_preference_is_learnt_and_holds_for_rows_never_seen(learner, tmp_path, preference):
    draw = random.Random(0)
    train = written(tmp_path, [preference(draw) for _ in range(300)], "train.jsonl")
    held_out = written(tmp_path, [preference(draw) for _ in range(60)], "eval.jsonl")
    folder = run(recipe(learner, tmp_path, train, held_out, num_train_epochs=2, learning_rate=2e-3))
    figures = folder.state["metrics"]
    assert figures["accuracy"] >= 0.95, figures
    assert figures["accuracy_low"] <= figures["accuracy"] <= figures["accuracy_high"]
    assert folder.state["status"] == "finished" and folder.state["kind"] == "reward"
    found = json.loads((folder.path / "reward_eval.json").read_text())
    assert found["split"] == "eval" and found["prompts"] == 60 and found["bins"] and len(found["ambiguous"]) == 10
    if preference is shorter_is_better:
        assert found["length"]["longer_is_better"] < 0.05 and found["length"]["spearman"] < -0.5


@pytest.fixture(scope="module")
def trained(tiny_llama, tmp_path_factory):
    """A short run with an adapter on rankings with ties, and its rows."""
    folder = tmp_path_factory.mktemp("trained")
    draw = random.Random(1)
    rows = [{**ranked_by_length(draw), "ranks": [1, 2, 2, 3]} for _ in range(16)]
    given = recipe(tiny_llama, folder, written(folder, rows), max_steps=3, logging_steps=1)
    plain = {"stage": "reward", "name": "reward-test", "lora": {"r": 4}, "register": False}
    from alignment.recipe import as_plain

    return run(make_recipe({**as_plain(given), **plain})), rows


def test_the_result_scores_as_the_trainer_did(trained):
    """reward_eval.json was written by the network in training, before it was saved and loaded."""
    folder, rows = trained
    model = RewardModel.load(folder.model, device="cpu")
    scores = model.score([r["prompt"] for r in rows for _ in range(4)], [t for r in rows for t in r["responses"]])
    found = json.loads((folder.path / "reward_eval.json").read_text())
    assert found["split"] == "train" and found["scores"]["count"] == 64
    assert sum(scores) / 64 == pytest.approx(found["scores"]["mean"], abs=1e-5)
    assert model.config.mean == pytest.approx(found["scores"]["mean"]) and model.config.std > 0
    pair = found["ambiguous"][0]
    row = rows[pair["row"]]
    by_text = dict(zip([" ".join(t.split()) for t in row["responses"]], scores[4 * pair["row"] :], strict=False))
    assert by_text[pair["better"]] - by_text[pair["worse"]] == pytest.approx(pair["margin"], abs=1e-5)


def test_normalised_scores_of_the_training_set_have_mean_0_and_deviation_1(trained):
    folder, rows = trained
    scores = RewardModel.load(folder.model, device="cpu").score(
        [r["prompt"] for r in rows for _ in range(4)], [t for r in rows for t in r["responses"]], normalised=True
    )
    assert torch.tensor(scores).mean().item() == pytest.approx(0, abs=1e-4)
    assert torch.tensor(scores).std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_the_artefact_is_an_adapter_with_head_tokenizer_and_configuration(trained):
    folder, _ = trained
    names = {path.name for path in folder.model.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", CONFIG} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]


def test_trls_figures_are_in_the_metrics(trained):
    folder, _ = trained
    line = folder.metrics()[0]
    assert {"loss", "accuracy", "margin", "mean_reward", "min_reward", "max_reward", "num_tokens"} <= line.keys()


def test_the_report_shows_the_evaluation_and_quotes_texts_that_cannot_leave_their_place(trained, tmp_path):
    folder, _ = trained
    assert "## Reward model" in (said := (folder.path / "report.md").read_text()) and "TRAINING rows" in said
    found = json.loads((folder.path / "reward_eval.json").read_text())
    found["ambiguous"][0]["better"] = "``` </script><script>alert(1)</script>"
    (tmp_path / "reward_eval.json").write_text(json.dumps(found))
    page = write_report(RunFolder(tmp_path)).read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "````text\n" in (tmp_path / "report.md").read_text()


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tiny_llama, tmp_path, monkeypatch):
    draw = random.Random(2)
    rows = written(tmp_path, [shorter_is_better(draw) for _ in range(40)])
    whole = run(recipe(tiny_llama, tmp_path, rows, name="whole", max_steps=8, logging_steps=1))
    halved = recipe(tiny_llama, tmp_path, rows, name="halved", max_steps=8, logging_steps=1)
    log = RunFolder.log

    def interrupting(folder, step, metrics):
        log(folder, step, metrics)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(RunFolder, "log", interrupting)
        run(halved)
    assert [found.name for found in RunFolder(Path(halved.output)).checkpoints()] == ["checkpoint-4"]
    folder = run(halved, resume=True)
    scores = [
        RewardModel.load(f.model, "cpu").score(["a", "b"], ["bread", "house and hearth"]) for f in (whole, folder)
    ]
    assert scores[0] == scores[1]
    assert [line["loss"] for line in folder.metrics() if "loss" in line] == [
        line["loss"] for line in whole.metrics() if "loss" in line
    ]


def test_rows_that_are_too_long_are_listed_and_not_dropped_in_silence(tiny_llama, tmp_path):
    draw = random.Random(3)
    rows = [shorter_is_better(draw) for _ in range(9)]
    rows[4]["rejected"] = phrase(draw, 200)
    folder = run(recipe(tiny_llama, tmp_path, written(tmp_path, rows), max_steps=1, max_length=64))
    data = folder.state["data"]
    assert data["train_rows"] == 8 and [dropped["index"] for dropped in data["dropped_rows"]] == [4]
    with pytest.raises(DataError, match="none of its 9 rows"):
        run(recipe(tiny_llama, tmp_path, written(tmp_path, rows), name="other", max_steps=1, max_length=3))


def test_a_loss_that_is_no_number_names_the_prompts_of_its_batch(tiny_llama, tmp_path):
    draw = random.Random(5)
    rows = written(tmp_path, [ranked_by_length(draw) for _ in range(6)])
    given = recipe(tiny_llama, tmp_path, rows, max_steps=6, per_device_train_batch_size=2, learning_rate=1e30)
    with pytest.raises(Diverged, match=r"rows [0-5], [0-5] of the training set") as caught:
        run(given)
    assert len(caught.value.rows) == 2
    assert RunFolder(Path(given.output)).state["status"] == "failed"


def test_a_ranking_without_a_better_response_is_refused_by_its_index(tiny_llama, tmp_path):
    draw = random.Random(4)
    rows = [ranked_by_length(draw) for _ in range(3)]
    rows[2]["ranks"] = [2, 2, 2, 2]
    given = recipe(tiny_llama, tmp_path, written(tmp_path, rows))
    with pytest.raises(DataError) as caught:
        run(given)
    assert (caught.value.row, caught.value.field) == (2, "ranks")
    assert not Path(given.output).exists()


def test_a_damaged_adapter_to_go_on_from_is_named(tmp_path, tiny_llama, make_adapter):
    adapter = make_adapter(1)
    (adapter / "adapter_model.safetensors").write_bytes(b"not safetensors")
    model = ModelSection(path=str(tiny_llama), adapter=str(adapter))
    with pytest.raises(ModelError, match="cannot be read"):
        new_reward_model(model, None, 0)


@pytest.mark.parametrize(("dropout", "disabled"), [(0.0, True), (0.1, False)])
def test_an_adapters_dropout_is_left_on_where_it_is_asked_for(tmp_path, dropout, disabled):
    """TRL's default turns it off without a word."""
    given = make_recipe({"stage": "reward", "name": "r", "lora": {"dropout": dropout}})
    args = training_arguments(given, RunFolder(tmp_path), "trl:RewardConfig", **stage_of(given).house("preference"))
    assert args.disable_dropout is disabled


@pytest.mark.skipif(not HH.is_dir(), reason=f"there is no {HH}")
def test_pairs_of_hh_are_read_and_trained_on(tiny_llama, tmp_path):
    lines = (HH / "harmless-pairs-a.jsonl").read_text(encoding="utf-8").splitlines()[:24]
    (tmp_path / "hh.jsonl").write_text("\n".join(lines) + "\n")
    folder = run(recipe(tiny_llama, tmp_path, str(tmp_path / "hh.jsonl"), max_steps=2, per_device_train_batch_size=2))
    assert folder.state["metrics"]["pairs"] > 0 and 0 <= folder.state["metrics"]["accuracy"] <= 1


@pytest.mark.parametrize("name", ["reward-small", "reward-8b"])
def test_the_recipes_that_ship_are_read(name, tmp_path):
    found = load_recipe(name)
    args = training_arguments(found, RunFolder(tmp_path), "trl:RewardConfig")
    assert found.stage == "reward" and args.center_rewards_coefficient == 0.01
