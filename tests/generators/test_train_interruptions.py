"""What a run does when it is broken off: a signal, a kill, a loss that is no number, a disk or a memory that is full.

Each really happens: processes are signalled and killed, weights hold a NaN, the file system is full.
"""

import importlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from decoder.errors import CheckpointFailed, Diverged, Stopped, TrainingError
from decoder.runs.checkpoints import is_whole, step_of
from generators import families
from generators.alarms import Alarm, Sighting
from generators.recipe import folder_of, load_recipe
from generators.train import train

HERE = Path(__file__).parent
QUIET = {"collapse": False, "posterior_collapse": False, "memorisation": False, "overfitting": False}


@pytest.fixture(scope="module")
def toys():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        found = importlib.import_module("toy_families_support")
        patch.setattr(families, "FAMILIES", dict(families.FAMILIES))
        found.install()
        yield found


@pytest.fixture(autouse=True)
def no_report(request, monkeypatch):
    """Plots take longer than these trainings; one test here looks for a report."""
    if "report" not in request.node.name:
        monkeypatch.setattr("generators.trainer_run.renew_report", lambda folder: None)


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def lines(folder):
    return [{k: v for k, v in line.items() if k != "seconds"} for line in folder.metrics()]


def at(step, do):
    """A watcher that does something after a step, once."""
    done = []

    def watch(progress):
        if progress.step == step and not done:
            done.append(step)
            do()

    return watch


# Signals, and going on


FULL = {
    "max_steps": 12,
    "ema_decay": 0.9,
    "learning_rate_schedule": "cosine",
    "warmup_steps": 3,
    "max_grad_norm": 1.0,
    "gradient_accumulation": 2,
    "evaluate_every": 3,
    "sample_every": 4,
}


@pytest.mark.parametrize("family", ["toy_gan", "toy_autoencoder"])
@pytest.mark.parametrize(("number", "step"), [(signal.SIGTERM, 1), (signal.SIGINT, 7)])
def test_a_run_that_a_signal_ended_and_that_was_gone_on_with_equals_one_that_was_not(
    tmp_path, toys, family, number, step
):
    early = {"early_stop": 9} if family == "toy_autoencoder" else {}

    def made(name):
        return toys.recipe(tmp_path / name, family, training={**FULL, **early}, data={"flip": True}, alarms=QUIET)

    toys.ToyAutoencoder.calls.clear()
    whole = train(made("whole"))
    with pytest.raises(Stopped, match=rf"after step {step + 1}.*--resume"):
        train(made("broken"), watch=at(step, lambda: signal.raise_signal(number)))
    broken = folder_of(made("broken"))
    assert broken.state["status"] == "stopped" and not broken.model.exists()
    assert [step_of(p) for p in broken.checkpoints()] == [step + 1]
    assert train(made("broken"), resume=True).state["status"] == "finished"
    assert same(weights(broken.model), weights(whole.model)) and lines(broken) == lines(whole)
    names = sorted(p.name for p in whole.path.glob("samples/*"))
    assert [(broken.path / "samples" / n).read_bytes() for n in names] == [
        (whole.path / "samples" / n).read_bytes() for n in names
    ]
    assert broken.state["metrics"] == whole.state["metrics"]
    assert broken.state["result_step"] == whole.state["result_step"]
    if family == "toy_autoencoder":
        assert toys.ToyAutoencoder.calls == ["all", "all"]  # once a run, although the second was begun twice


@pytest.mark.parametrize("name", ["dcgan-digits", "cyclegan-digits"])
def test_real_families_go_on_as_exactly_with_what_they_remember_in_their_buffers(tmp_path, name):
    def made(output):
        settings = {"max_steps": 4, "budget_seconds": 0, "batch_size": 4, "evaluate_every": 0, "threads": 1}
        return load_recipe(name, [f"output={tmp_path / output}", *(f"training.{k}={v}" for k, v in settings.items())])

    whole = train(made("whole"))
    with pytest.raises(Stopped):
        train(made("broken"), watch=at(1, lambda: signal.raise_signal(signal.SIGTERM)))
    broken = train(made("broken"), resume=True)
    assert same(weights(broken.model), weights(whole.model)) and lines(broken) == lines(whole)


class ThirdLook:
    """An alarm that rings at the third look, and must remember how often it has looked."""

    def __init__(self):
        self.looks = 0

    def look(self, step, progress, samples, losses, figures):
        self.looks += 1
        text = f"{float(samples.sum()):.6f} {sorted(losses.items())}"
        return Sighting([Alarm("third", step, text)] if self.looks == 3 else [], {})

    def state(self):
        return {"looks": self.looks}

    def restore(self, state):
        self.looks = state["looks"]


def test_alarms_go_on_with_what_they_have_seen(tmp_path, toys, monkeypatch):
    monkeypatch.setattr("generators.trainer_run.open_watch", lambda recipe, split: ThirdLook())
    made = [toys.recipe(tmp_path / name, "toy_gan", training={"evaluate_every": 2}) for name in ("whole", "broken")]
    whole = train(made[0])
    with pytest.raises(Stopped):
        train(made[1], watch=at(4, lambda: signal.raise_signal(signal.SIGTERM)))
    assert (
        train(made[1], resume=True).state["alarms"] == whole.state["alarms"] and whole.state["alarms"][0]["step"] == 6
    )


def test_the_signals_own_way_comes_back_afterwards(tmp_path, toys):
    before = signal.getsignal(signal.SIGTERM)
    train(toys.recipe(tmp_path / "run", training={"max_steps": 1}))
    assert signal.getsignal(signal.SIGTERM) is before


def started(output, how, **more):
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, str(HERE / "toy_run_support.py"), str(output), how]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(toys, tmp_path_factory):
    """What toy_run_support.py trains, when nothing befalls it."""
    support = importlib.import_module("toy_run_support")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("generators.trainer_run.renew_report", lambda folder: None)
        return train(toys.recipe(tmp_path_factory.mktemp("whole") / "run", "toy_gan", training=support.SETTINGS))


def test_a_process_that_gets_sigterm_leaves_a_checkpoint_from_which_another_ends_equally(tmp_path, toys, whole):
    support = importlib.import_module("toy_run_support")
    child = started(tmp_path / "run", "slowly")
    while int(child.stdout.readline()) < 20:
        pass
    child.send_signal(signal.SIGTERM)
    _, said = child.communicate(timeout=200)
    assert child.returncode == 1 and "Stopped: training: a signal ended it after step" in said
    made = toys.recipe(tmp_path / "run", "toy_gan", training=support.SETTINGS)
    folder = folder_of(made)
    assert folder.state["status"] == "stopped" and 20 <= step_of(folder.checkpoints()[-1]) < 120
    assert same(weights(train(made, resume=True).model), weights(whole.model)) and lines(folder) == lines(whole)


def test_a_process_that_is_killed_while_it_writes_a_checkpoint_leaves_the_one_before(tmp_path, toys, whole):
    support = importlib.import_module("toy_run_support")
    child = started(tmp_path / "run", "killed")
    child.communicate(timeout=200)
    assert child.returncode == -signal.SIGKILL
    made = toys.recipe(tmp_path / "run", "toy_gan", training={**support.SETTINGS, "checkpoint_seconds": 0.0})
    folder = folder_of(made)
    assert [step_of(p) for p in folder.checkpoints()] == [3, 4] and all(map(is_whole, folder.checkpoints()))
    assert (folder.path / ".partial").exists() and folder.state["status"] == "running"
    often = folder_of(made)
    left = [line for line in lines(often) if line["step"] <= 4]
    assert same(weights(train(made, resume=True).model), weights(whole.model))
    assert not (folder.path / ".partial").exists() and lines(folder)[: len(left)] == left
    assert lines(folder) == lines(whole)


# No number


def test_a_loss_that_is_no_number_ends_the_run_and_names_step_phase_and_pictures(tmp_path, toys, monkeypatch):
    plain = toys.ToyGan.loss

    def loss(self, phase, batch):
        found = plain(self, phase, batch)
        if phase == "generator":
            self.calls = getattr(self, "calls", 0) + 1
            found["loss"] = found["loss"] * (float("nan") if self.calls == 3 else 1)
        return found

    monkeypatch.setattr(toys.ToyGan, "loss", loss)
    made = toys.recipe(tmp_path / "run", "toy_gan", training={"checkpoint_seconds": 0.0})
    with pytest.raises(Diverged, match=r"the loss of generator is nan at step 5 \(pictures \w+/\d+, .*…\)") as raised:
        train(made)
    assert len(raised.value.rows) == 16
    folder = folder_of(made)
    assert folder.state["status"] == "failed" and "is nan" in folder.state["error"]
    assert [step_of(p) for p in folder.checkpoints()] == [3, 4]
    assert all(value.isfinite().all() for value in weights(folder.checkpoints()[-1]).values())


def test_a_weight_that_is_no_number_never_reaches_a_checkpoint_and_the_report_says_so(tmp_path, toys, monkeypatch):
    plain = toys.ToyAutoencoder.loss

    def loss(self, phase, batch):
        if batch.images.isfinite().all() and self.mean.isfinite() and len(self.seen) == 3:
            self.decoder.bias.register_hook(lambda gradient: gradient * float("inf"))
        self.seen.append(phase)
        return plain(self, phase, batch)

    monkeypatch.setattr(toys.ToyAutoencoder, "loss", loss)
    monkeypatch.setattr(toys.ToyAutoencoder, "seen", [], raising=False)
    made = toys.recipe(tmp_path / "run", training={"checkpoint_seconds": 0.0})
    with pytest.raises(Diverged, match=r"decoder.bias is no number after step 4"):
        train(made)
    folder = folder_of(made)
    assert [step_of(p) for p in folder.checkpoints()] == [2, 3]
    assert "the run failed: training: decoder.bias is no number" in (folder.path / "report.html").read_text()


# Full disks, damaged files, full memory


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if not mounted or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here; the next test limits the size of files instead")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_leaves_the_last_good_checkpoint_which_is_gone_on_from(tmp_path, toys, small_disk):
    whole = train(toys.recipe(tmp_path / "whole", training={"checkpoint_seconds": 0.0}))
    made = toys.recipe(small_disk / "run", training={"checkpoint_seconds": 0.0})
    filler = small_disk / "filler"

    def fill():
        free = os.statvfs(small_disk)
        filler.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - 20_000))

    with pytest.raises(CheckpointFailed, match=r"checkpoint of step 3: .*checkpoint-2 is whole.*--resume"):
        train(made, watch=at(3, fill))
    folder = folder_of(made)
    assert [step_of(p) for p in folder.checkpoints()] == [1, 2] and is_whole(folder.checkpoints()[-1])
    assert not (folder.path / ".partial").exists() and folder.state["status"] == "failed"
    filler.unlink()
    assert same(weights(train(made, resume=True).model), weights(whole.model))


def test_files_that_may_not_grow_leave_the_last_good_checkpoint(tmp_path, toys):
    made = toys.recipe(tmp_path / "run", training={"checkpoint_seconds": 0.0})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = at(3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1])))
    try:
        with pytest.raises(CheckpointFailed, match="checkpoint-2 is whole"):
            train(made, watch=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [step_of(p) for p in folder_of(made).checkpoints()] == [1, 2]


def test_a_result_that_does_not_fit_on_the_disk_is_left_by_the_run_that_is_resumed(tmp_path, toys):
    whole = train(toys.recipe(tmp_path / "whole"))
    made = toys.recipe(tmp_path / "run")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(self, folder):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys.ToyAutoencoder, "save", full)
        with pytest.raises(CheckpointFailed, match=r"No space left.*checkpoint-8 is whole"):
            train(made)
    assert before == resource.getrlimit(resource.RLIMIT_FSIZE) and not folder_of(made).model.exists()
    assert same(weights(train(made, resume=True).model), weights(whole.model))


def broken_off(toys, output, step=4):
    made = toys.recipe(output, training={"checkpoint_seconds": 0.0})
    with pytest.raises(Stopped):
        train(made, watch=at(step - 1, lambda: signal.raise_signal(signal.SIGTERM)))
    return made, folder_of(made).checkpoints()


def test_a_checkpoint_that_lost_part_of_a_file_is_passed_over(tmp_path, toys):
    whole = train(toys.recipe(tmp_path / "whole"))
    made, (_, last) = broken_off(toys, tmp_path / "run")
    state = last / "training_state.pt"
    state.write_bytes(state.read_bytes()[:-1])
    assert not is_whole(last)
    assert same(weights(train(made, resume=True).model), weights(whole.model))


@pytest.mark.parametrize("name", ["model.safetensors", "training_state.pt", "random-0.pt"])
def test_a_checkpoint_whose_bytes_were_damaged_is_named(tmp_path, toys, name):
    made, (_, last) = broken_off(toys, tmp_path / "run")
    file = last / name
    file.write_bytes(bytes(file.stat().st_size))  # of the same size
    with pytest.raises(TrainingError, match=r"checkpoint-4 cannot be read.*Remove that folder"):
        train(made, resume=True)


def test_full_memory_is_told_with_what_helps(tmp_path, toys, monkeypatch):
    def loss(self, phase, batch):
        return {"loss": torch.empty(2**55)}

    monkeypatch.setattr(toys.ToyAutoencoder, "loss", loss)
    with pytest.raises(TrainingError, match=r"memory is full.*batch_size"):
        train(toys.recipe(tmp_path / "run"))


# Several processes


@pytest.mark.slow
def test_two_processes_share_a_batch_and_end_where_one_does(tmp_path, toys):
    support = importlib.import_module("toy_run_support")
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"ACCELERATE_USE_CPU": "true"}
    output = tmp_path / "two"
    both = [started(output, "shared", RANK=rank, LOCAL_RANK=rank, **shared) for rank in "01"]
    said = [child.communicate(timeout=200)[1] for child in both]
    assert [child.returncode for child in both] == [0, 0], said
    one = train(toys.recipe(tmp_path / "one", model=support.NOISELESS, training=support.SHARED))
    for name, value in weights(one.model).items():
        torch.testing.assert_close(value, weights(output / "model")[name], rtol=1e-4, atol=1e-5)


def free_port():
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
