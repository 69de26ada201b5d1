"""What was trained is kept whole, told apart by its content, never changed; crashes and full disks leave the rest."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment import registry_artefact, registry_lock
from alignment.errors import RegistryError
from alignment.models import resolve
from alignment.recipe import as_plain, fingerprint, make_recipe
from alignment.registry import list_artefacts, register, remove, show, verify
from alignment.registry_artefact import check_id
from alignment.registry_diff import diff
from alignment.registry_history import history, record
from alignment.registry_lock import SWITCHING, WRITING, locked
from decoder import alias
from decoder.errors import CheckpointFailed
from decoder.runs.folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("HEARTH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def finish(tmp_path):
    """finish(name, files, **notes) -> the folder of a run that a stage has finished."""

    def make(name, files, recipe=None, /, **notes):
        path = tmp_path / "runs" / f"{name}-{time.monotonic_ns()}"
        described = make_recipe({"stage": "sft", "name": name, **(recipe or {})})
        (path / "model").mkdir(parents=True)
        (path / "recipe.yaml").write_text(json.dumps(as_plain(described)))
        for file, content in files.items():
            (path / "model" / file).parent.mkdir(parents=True, exist_ok=True)
            (path / "model" / file).write_bytes(content)
        folder = RunFolder(path)
        facts = {"stage": "sft", "status": "finished", "kind": "adapter", "name": name, "metrics": {"loss": 0.5}}
        folder.note(recipe_sha256=fingerprint(described), **{**facts, **notes})
        return folder

    return make


WEIGHTS = {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}


def test_an_artefact_has_an_id_lineage_and_a_folder_of_its_own(finish, models):
    data = {"sha256": "d" * 64, "rows": 9, "source": "mine.jsonl"}
    folder = finish("sft-mine", WEIGHTS, base="/models/base", base_sha256="b" * 64, data=data)
    artefact = register(folder)
    assert artefact.id == f"sft-mine-{artefact.weights_sha256[:8]}"
    assert artefact.folder == models / artefact.id
    assert {path.name for path in artefact.model.iterdir()} == set(WEIGHTS)
    assert (artefact.base, artefact.base_sha256, artefact.data) == ("/models/base", "b" * 64, data)
    assert artefact.recipe["name"] == "sft-mine"
    assert artefact.recipe_sha256 == folder.state["recipe_sha256"]
    assert artefact.metrics == {"loss": 0.5}
    assert {"python", "torch", "trl"} <= artefact.libraries.keys()
    assert "hearth" in artefact.code
    assert show(artefact.id) == verify(artefact.id) == artefact
    assert list_artefacts() == [artefact]
    assert resolve(artefact.id) == str(artefact.model), "a recipe may name it"
    assert history()[-1]["event"] == "register"


def test_the_same_result_is_registered_once_and_another_gets_another_id(finish):
    one = register(finish("mine", WEIGHTS))
    assert register(finish("mine", WEIGHTS)) == one
    two = register(finish("mine", {**WEIGHTS, "adapter_model.safetensors": b"others"}))
    assert two.id != one.id
    assert [each.id for each in list_artefacts()] == [one.id, two.id]


def test_ids_that_begin_alike_get_longer_ones(finish, monkeypatch):
    from alignment import registry

    digests = iter(["a" * 64, "a" * 64, "aaaaaaaa" + "b" * 56, "aaaaaaaa" + "b" * 56])
    monkeypatch.setattr(registry, "content_hash", lambda folder: next(digests))
    assert register(finish("mine", WEIGHTS)).id == "mine-aaaaaaaa"
    assert register(finish("mine", {**WEIGHTS, "x.json": b"1"})).id == "mine-aaaaaaaabbbbbbbb"


def test_what_trainers_leave_beside_the_weights_stays_behind(finish):
    artefact = register(finish("mine", {**WEIGHTS, "training_args.bin": b"a pickle", "modeling_mine.py": b"code"}))
    assert {path.name for path in artefact.model.iterdir()} == set(WEIGHTS)


@pytest.mark.parametrize(
    ("notes", "files", "message"),
    [
        ({"status": "failed"}, WEIGHTS, "is failed, not finished"),
        ({"status": "running"}, WEIGHTS, "--resume"),
        ({"kind": "soup"}, WEIGHTS, "'soup'"),
        ({}, {"adapter_model.bin": b"a pickle"}, "no safetensors"),
        ({"name": "../../etc"}, WEIGHTS, "no id"),
    ],
)
def test_what_cannot_be_registered_is_refused_and_leaves_nothing(finish, models, notes, files, message):
    with pytest.raises(RegistryError, match=message):
        register(finish("mine", files, **notes))
    assert list_artefacts() == []
    assert not list(models.glob(".copy-*"))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RegistryError, match="not there, not finished"):
        register(RunFolder(tmp_path))


def test_a_link_is_refused_because_what_it_names_may_change(finish, tmp_path):
    folder = finish("mine", WEIGHTS)
    (folder.model / "more.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="is a link"):
        register(folder)


@given(st.text(max_size=40))
def test_only_ids_are_paths(text):
    try:
        found = check_id(text)
    except RegistryError:
        return
    assert "/" not in found
    assert found != ".."
    assert not found.startswith(".")


@pytest.mark.parametrize(
    "given", ["..", "../outside-12345678", "a/b-12345678", "mine-12345678/../x", "", "mine-1234567\n"]
)
def test_a_path_is_no_id(given):
    for act in (show, verify, remove):
        with pytest.raises(RegistryError):
            act(given)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_changed_files_are_found(finish, file):
    artefact = register(finish("mine", WEIGHTS))
    path = artefact.model / file
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RegistryError, match="not those that were registered"):
        verify(artefact.id)


def test_files_that_cannot_be_read_are_a_typed_error(finish, monkeypatch):
    artefact = register(finish("mine", WEIGHTS))
    monkeypatch.setattr(registry_artefact, "content_files", lambda folder: [folder / "unreadable.json"])
    with pytest.raises(RegistryError, match=r"unreadable\.json: No such file"):
        verify(artefact.id)


def test_a_file_whose_name_is_no_text_is_registered_as_it_is(finish):
    odd = os.fsdecode(b"caf\xe9.json")
    artefact = register(finish("mine", {**WEIGHTS, odd: b"{}"}))
    assert (verify(artefact.id).model / odd).exists()


def test_added_and_renamed_files_are_found_too(finish):
    artefact = register(finish("mine", WEIGHTS))
    (artefact.model / "chat_template.jinja").write_text("{{ evil }}")
    with pytest.raises(RegistryError, match="not those"):
        verify(artefact.id)
    (artefact.model / "chat_template.jinja").unlink()
    assert verify(artefact.id) == artefact


def test_a_description_whose_time_is_none_is_an_error(finish):
    artefact = register(finish("mine", WEIGHTS))
    description = artefact.folder / "artefact.json"
    description.chmod(0o644)
    description.write_text(json.dumps({**artefact.plain(), "created": "yesterday"}))
    with pytest.raises(RegistryError, match="cannot be used"):
        list_artefacts()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"id": "other"}', "\xff"])
def test_a_damaged_description_is_an_error(finish, content):
    artefact = register(finish("mine", WEIGHTS))
    description = artefact.folder / "artefact.json"
    description.chmod(0o644)
    description.write_text(content, encoding="latin-1")
    with pytest.raises(RegistryError, match="cannot be used"):
        show(artefact.id)


def test_parents_are_known_and_stay(finish):
    base = register(finish("base", {"model.safetensors": b"whole"}, kind="model"))
    child = register(finish("child", WEIGHTS, {"model": {"path": base.id}}, base=str(base.model)))
    more = {**WEIGHTS, "x.json": b"1"}
    grandchild = register(finish("more", more, {"model": {"path": str(base.model), "adapter": child.id}}))
    assert child.parents == (base.id,)
    assert grandchild.parents == (base.id, child.id)
    for parent in (base, child):
        with pytest.raises(RegistryError, match="was made from"):
            remove(parent.id)
    for each in (grandchild, child, base):
        remove(each.id)
    assert list_artefacts() == []


def test_the_promoted_one_and_the_last_good_one_stay(finish):
    one = register(finish("mine", WEIGHTS))
    for target in ((one.id, ""), ("other", one.id)):
        alias.switch("base", *target)
        with pytest.raises(RegistryError, match="Promote another first"):
            remove(one.id)
    alias.switch("base", "", None)
    remove(one.id)


def test_what_is_being_promoted_is_not_removed_meanwhile(finish):
    one = register(finish("mine", WEIGHTS))
    with ThreadPoolExecutor(1) as pool:
        with locked(SWITCHING, "promoting"):
            removal = pool.submit(remove, one.id)
            time.sleep(0.3)
            alias.switch("base", one.id, "")
        with pytest.raises(RegistryError, match="is promoted on base"):
            removal.result(30)
    assert verify(one.id) == one


def test_nobody_waits_for_ever_for_another(finish, monkeypatch):
    monkeypatch.setitem(registry_lock.WAIT_SECONDS, WRITING, 0.1)
    folder = finish("mine", WEIGHTS)
    with locked(WRITING, "registering"), pytest.raises(RegistryError, match="another process has been at work"):
        register(folder)
    assert register(folder) == show(register(folder).id)


def test_a_registry_that_cannot_be_made_is_a_typed_error(finish, tmp_path, monkeypatch):
    one = register(finish("mine", WEIGHTS))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEARTH_ALIGNMENT_MODELS", str(tmp_path / "file"))
    for act in (lambda: remove(one.id), lambda: register(finish("mine", WEIGHTS))):
        with pytest.raises(CheckpointFailed, match=r"Set \[alignment\] models"):
            act()


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_a_damaged_state_of_a_run_is_a_typed_error(finish, content):
    folder = finish("mine", WEIGHTS)
    folder.state_file.write_bytes(content)
    with pytest.raises(RegistryError, match=r"run\.json cannot be read"):
        register(folder)


# Crashes and full disks


REGISTER = (
    "import sys; from pathlib import Path; from alignment.registry import register\n"
    "from decoder.runs.folder import RunFolder\n"
    "print('go', flush=True)\n"
    "register(RunFolder(Path(sys.argv[1])))\n"
)


def python(code, *arguments, **options):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **options)


def test_killed_at_any_moment_it_is_there_whole_or_not_at_all(finish, models):
    kept = register(finish("kept", WEIGHTS))
    big = {"adapter_model.safetensors": os.urandom(8 << 20), "adapter_config.json": b"{}"}
    folder = finish("big", big)
    whole = 0
    for pause in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2):
        process = python(REGISTER, str(folder.path), stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"go\n"
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
        for artefact in list_artefacts():
            verify(artefact.id)
            whole += artefact.id != kept.id
            if artefact.id != kept.id:
                remove(artefact.id)
    assert register(folder).id.startswith("big-")
    assert not list(models.glob(".copy-*")), "what crashes left is tidied up"
    assert verify(kept.id) == kept


def test_killed_before_the_last_rename_nothing_half_is_seen(finish, models):
    folder = finish("mine", WEIGHTS)
    code = (
        "import os, signal; from pathlib import Path\nPath.rename = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = python(code + REGISTER, str(folder.path), stdout=subprocess.DEVNULL)
    assert process.wait(60) == -signal.SIGKILL
    assert len(list(models.glob(".copy-*"))) == 1
    assert list_artefacts() == []
    assert verify(register(folder).id)
    assert not list(models.glob(".copy-*"))


def test_a_disk_that_fills_keeps_what_was_there(finish, models):
    """The limit on the size of a file stands in for a full disk: the kernel refuses the same write."""
    kept = register(finish("kept", WEIGHTS))
    folder = finish("big", {"adapter_model.safetensors": os.urandom(4 << 20), "adapter_config.json": b"{}"})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        with pytest.raises(CheckpointFailed, match=r"Free some space; then: hearth models register"):
            register(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list_artefacts() == [verify(kept.id)]
    assert not list(models.glob(".copy-*"))
    assert verify(register(folder).id)


def test_two_processes_that_register_the_same_make_one(finish, models):
    folder = finish("mine", {**WEIGHTS, "adapter_model.safetensors": os.urandom(1 << 20)})
    both = [python(REGISTER, str(folder.path), stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    (found,) = list_artefacts()
    assert verify(found.id)


def test_a_line_of_the_history_that_a_crash_cut_off_costs_nothing_else(models):
    record("one")
    with (models / "history.jsonl").open("ab") as file:
        file.write(b'{"event": "tw')
    record("three")
    with (models / "history.jsonl").open("a") as file:
        file.write('{"event": "four", "time": "yesterday"}\n')
    assert [each["event"] for each in history()] == ["one", "three"]


# Differences


def test_the_difference_of_adapters_is_that_of_what_they_add(finish, make_adapter):
    import torch
    from safetensors.torch import load_file

    def run(name, folder):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        settings = json.loads(files["adapter_config.json"]) | {"lora_alpha": 16}
        files["adapter_config.json"] = json.dumps(settings).encode()
        return register(finish(name, files, {"seed": len(name)}, metrics={"loss": float(len(name))}))

    one, two = run("one", make_adapter(1)), run("second", make_adapter(2, rank=8))
    found = diff(one, two)
    assert found.facts["recipe.seed"] == (3, 6)
    assert found.facts["metrics.loss"] == (3.0, 6.0)
    assert "libraries.torch" not in found.facts
    first, second = (load_file(each.model / "adapter_model.safetensors") for each in (one, two))
    total = 0.0
    for change in found.modules:
        name = f"base_model.model.{change.module}"
        a, b = (w[f"{name}.lora_B.weight"].double() @ w[f"{name}.lora_A.weight"].double() for w in (first, second))
        a, b = a * 16 / 4, b * 16 / 8
        assert change.norm == pytest.approx(float(torch.linalg.norm(a - b)), rel=1e-6)
        assert change.relative == pytest.approx(change.norm / max(float(a.norm()), float(b.norm())), rel=1e-6)
        total += change.norm**2
    assert len(found.modules) == 8
    assert found.norm == pytest.approx(total**0.5)
    assert all(change.norm < 1e-6 for change in diff(one, one).modules)


def test_whole_models_are_compared_tensor_by_tensor(finish):
    import torch
    from safetensors.torch import save

    one = register(finish("one", {"model.safetensors": save({"w": torch.ones(3), "x": torch.ones(2)})}, kind="model"))
    other = {"model.safetensors": save({"w": torch.zeros(3), "x": torch.ones(2), "y": torch.full((4,), 2.0)})}
    found = {each.module: each for each in diff(one, register(finish("two", other, kind="model"))).modules}
    assert found["w"].norm == pytest.approx(3**0.5)
    assert found["x"].norm == 0
    assert found["y"].norm == pytest.approx(4.0)
    mixed = diff(one, register(finish("three", WEIGHTS)))
    assert mixed.modules == ()
    assert mixed.facts["kind"] == ("model", "adapter")


def test_weights_that_cannot_be_read_are_a_typed_error(finish, make_adapter):
    files = {path.name: path.read_bytes() for path in make_adapter(1).iterdir()}
    files["adapter_config.json"] = json.dumps({"r": 0, "lora_alpha": 16}).encode()
    none = register(finish("none", files))
    with pytest.raises(RegistryError, match="cannot be read"):
        diff(none, none)
    one, two = register(finish("one", WEIGHTS)), register(finish("two", {**WEIGHTS, "x.json": b"1"}))
    with pytest.raises(RegistryError, match="cannot be read"):
        diff(one, two)
    whole = register(finish("whole", {"model.safetensors": b"no safetensors at all"}, kind="model"))
    with pytest.raises(RegistryError, match="cannot be read"):
        diff(whole, whole)
