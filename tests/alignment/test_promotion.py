"""From a run to the served model and back, on a real vLLM process: nobody's request fails, nobody gets a third answer.

The server is the session's; what these tests load they unload again.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from alignment.errors import GateRefused, RegistryError, WrongBase
from alignment.evaluate import Side, Suite, evaluate
from alignment.evaluate_answers import ask
from alignment.evaluate_loss import Text, in_process, served
from alignment.evaluate_rules import GateResult, GateRules
from alignment.models import weights_hash
from alignment.recipe import as_plain, fingerprint, make_recipe
from alignment.registry import register, remove, show
from alignment.registry_history import history
from alignment.registry_serving import load, promote, rollback, unload
from decoder import alias, server_state
from decoder.client import ServedDecoder
from decoder.errors import DecoderError, UnknownModel
from decoder.runs.folder import RunFolder
from decoder.scripted import ScriptedDecoder
from decoder.server_http import model_names
from decoder.types import Sampling
from ui.cli import wiring
from ui.cli.main import main
from ui.cli.serve import load_promoted

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(300),
    # peft asks transformers by a name that is going away.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]
GREEDY = Sampling(temperature=0.0, max_tokens=12)
QUESTION = "Who gathers round the hearth?"


@pytest.fixture(autouse=True)
def server(vllm_server, vllm_home, monkeypatch, tmp_path):
    """The session's server, with a registry of the test's own; afterwards it serves its base model alone again."""
    monkeypatch.setenv("HEARTH_HOME", str(vllm_home))
    monkeypatch.setenv("HEARTH_ALIGNMENT_MODELS", str(tmp_path / "models"))
    yield vllm_server
    alias.file().unlink(missing_ok=True)
    for name in model_names(vllm_server.base_url)[1:]:
        vllm_server.unload_adapter(name)


def train(llama, folder, answer, seed):
    """Teach the tiny model to say `answer`: a real LoRA, a few steps at a high rate."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(llama)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(llama), config)
    chat = [{"role": "user", "content": QUESTION}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    ids = torch.tensor([[*prompt, *tokenizer(answer)["input_ids"], tokenizer.eos_token_id]])
    labels = ids.clone()
    labels[:, : len(prompt)] = -100
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.03)
    for _ in range(12):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float(loss.detach())


def finished_run(path, name, llama, adapter=None, seed=1, answer="People do, in the evening."):
    """A run's folder as a stage leaves it."""
    recipe = make_recipe({"stage": "sft", "name": name, "seed": seed, "model": {"path": str(llama)}})
    folder = RunFolder(path)
    path.mkdir(parents=True)
    (path / "recipe.yaml").write_text(json.dumps(as_plain(recipe)))
    if adapter is None:
        loss = train(llama, folder.model, answer, seed)
    else:
        folder.model.mkdir()
        for file in adapter.iterdir():
            (folder.model / file.name).write_bytes(file.read_bytes())
        loss = 1.0
    facts = {"data": {"sha256": "d" * 64}, "metrics": {"loss": loss}, "base": str(llama), "kind": "adapter"}
    folder.note(
        stage="sft", name=name, recipe_sha256=fingerprint(recipe), base_sha256=weights_hash(llama), status="finished",
        **facts,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def trained(tiny_llama, tmp_path_factory):
    """Two runs that taught two different answers."""
    root = tmp_path_factory.mktemp("runs")
    first = finished_run(root / "one", "one", tiny_llama, seed=1)
    return first, finished_run(root / "two", "two", tiny_llama, seed=2, answer="Bread and tea: at four.")


def said(server, model=""):
    with ServedDecoder(server.base_url, model, preset="vllm") as decoder:
        return decoder.complete(QUESTION, sampling=GREEDY).text


def passing(candidate, baseline):
    return GateResult(candidate, baseline, True, (), ())


class Clients:
    """Eight that ask without a pause, and keep what they were told; one connection pool and thread each."""

    def __init__(self, server):
        self.server, self.answers, self.failures = server, [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(8)]

    def _ask(self):
        with ServedDecoder(self.server.base_url, preset="vllm") as decoder:
            while not self._stop.is_set():
                try:
                    completion = decoder.complete(QUESTION, sampling=GREEDY)
                except DecoderError as error:
                    self.failures.append(error)
                    return
                self.answers.append((completion.model, completion.text))

    def wait_for(self, model, seconds=30):
        """Until that model has answered since now."""
        seen, deadline = len(self.answers), time.monotonic() + seconds
        while time.monotonic() < deadline and not self.failures:
            if any(name == model for name, _ in self.answers[seen:]):
                return
            time.sleep(0.01)
        pytest.fail(f"{model} did not answer within {seconds} s: {self.failures}")

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def test_trained_registered_loaded_promoted_and_rolled_back_while_eight_clients_ask(server, trained, capsys):
    one, two = (register(folder) for folder in trained)
    base = said(server)
    load(one.id, server)
    load(two.id, server)
    answers = {server.model: base, one.id: said(server, one.id), two.id: said(server, two.id)}
    assert len(set(answers.values())) == 3, "training changed the answers"
    assert said(server) == base, "loading alone switches nobody"
    with Clients(server) as clients:
        clients.wait_for(server.model)
        assert promote(one.id, server, passing).before == server.model
        clients.wait_for(one.id)
        assert said(server) == answers[one.id]
        assert said(server, server.model) == base, "who names the base model gets it"
        promote(two.id, server, passing)
        clients.wait_for(two.id)
        began = time.perf_counter()
        back = rollback(server)
        seconds = time.perf_counter() - began
        assert (back.model, back.before, back.changed) == (one.id, two.id, True)
        assert said(server) == answers[one.id]
        clients.wait_for(one.id)
        again = rollback(server)
        assert (again.model, again.changed) == (one.id, False), "a second time takes nothing more back"
        assert rollback(server, to_base=True).model == server.model
        clients.wait_for(server.model)
    assert clients.failures == []
    assert set(clients.answers) == set(answers.items()), "every answer is one of the three models' own"
    with capsys.disabled():
        print(f"\n    {len(clients.answers)} answers, none failed; the rollback took {1000 * seconds:.0f} ms")
    assert seconds < 1.0
    events = [(each["event"], each.get("id")) for each in history()]
    assert events[-4:] == [("promote", one.id), ("promote", two.id), ("rollback", one.id), ("rollback", server.model)]


def test_the_first_promotion_is_rolled_back_to_the_base(server, trained):
    one = register(trained[0])
    base = said(server)
    promote(one.id, server, passing)
    assert said(server) != base
    assert rollback(server).model == server.model
    assert said(server) == base
    assert rollback(server).changed is False


def test_the_other_rooms_follow_without_being_told(server, trained):
    one = register(trained[0])
    decoder = wiring.find_decoder(wiring.DecoderChoice())
    with decoder:
        before = decoder.complete(QUESTION, sampling=GREEDY).text
        promote(one.id, server, force=True)
        assert decoder.complete(QUESTION, sampling=GREEDY).text == said(server, one.id) != before
        assert decoder.model == one.id
    assert history()[-1]["forced"] is True


def test_a_gate_that_refuses_changes_nothing_and_leaves_nothing_loaded(server, trained):
    one = register(trained[0])
    asked = []

    def gate(candidate, baseline):
        asked.append((said(server, candidate), said(server, baseline)))
        return GateResult(candidate, baseline, False, ("it is worse",), ())

    with pytest.raises(GateRefused, match="it is worse"):
        promote(one.id, server, gate)
    assert asked[0][0] != asked[0][1], "the candidate is served while it is measured"
    assert model_names(server.base_url) == [server.model]
    assert alias.resolve(server.model) == server.model
    assert history()[-2]["event"] == "refuse"
    with pytest.raises(GateRefused, match="no gate"):
        promote(one.id, server)


def test_a_gate_that_is_interrupted_leaves_nothing_loaded(server, trained):
    one = register(trained[0])

    def interrupted(candidate, baseline):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        promote(one.id, server, interrupted)
    assert model_names(server.base_url) == [server.model]


def test_what_is_unloaded_or_removed_while_the_gate_is_at_work(server, trained):
    one, two = (register(folder) for folder in trained)

    def gate_and(act):
        return lambda candidate, baseline: act(candidate) or passing(candidate, baseline)

    promote(one.id, server, gate_and(lambda candidate: unload(candidate, server)))
    assert said(server) == said(server, one.id), "it is loaded again before anybody is sent to it"
    with pytest.raises(RegistryError, match="no artefact"):
        promote(two.id, server, gate_and(remove))
    assert alias.resolve(server.model) == one.id


def test_another_promotion_while_the_gate_is_at_work_is_not_overwritten(server, trained):
    one, two = (register(folder) for folder in trained)

    def slow(candidate, baseline):
        promote(two.id, server, passing)
        return passing(candidate, baseline)

    with pytest.raises(RegistryError, match="was promoted while"):
        promote(one.id, server, slow)
    assert alias.resolve(server.model) == two.id


def test_two_promotions_at_once_end_with_one_of_them_and_a_way_back(server, trained):
    ids = [register(folder).id for folder in trained]
    code = (
        "import sys; from decoder.server import attach; from alignment.registry_serving import promote\n"
        "from alignment.errors import RegistryError\n"
        "try: promote(sys.argv[1], attach(), force=True)\n"
        "except RegistryError as error: assert 'was promoted while' in str(error)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, each], env=environment()) for each in ids]
    assert [process.wait(120) for process in both] == [0, 0]
    target = alias.targets()[server.model]
    promoted = [each["id"] for each in history() if each["event"] == "promote"]
    assert target.model == promoted[-1]
    assert target.before == ("" if len(promoted) == 1 else promoted[0])
    assert said(server) == said(server, target.model)


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("moment", ["loaded", "tried", "switched"])
def test_a_crash_within_a_promotion_leaves_the_old_or_the_new_one_answering(server, trained, moment):
    one = register(trained[0])
    base = said(server)
    code = (
        "import os, signal, sys; from decoder.server import attach; from alignment import registry_serving as serving\n"
        "die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "setattr(*{'loaded': (serving, '_try', die), 'tried': (serving.alias, 'switch', die),\n"
        "          'switched': (serving, 'record', lambda e, **k: e == 'promote' and die())}[sys.argv[2]])\n"
        "serving.promote(sys.argv[1], attach(), force=True)"
    )
    done = subprocess.run([sys.executable, "-c", code, one.id, moment], env=environment(), timeout=120)
    assert done.returncode == -signal.SIGKILL
    if moment == "switched":
        assert said(server) == said(server, one.id) != base
        assert rollback(server).model == server.model
    else:
        assert said(server) == base
        assert promote(one.id, server, passing).changed, "and it is done again as if nothing had been"


def test_an_adapter_of_another_base_is_refused_with_both_names(server, trained, tiny_llama, tmp_path):
    from transformers import AutoModelForCausalLM

    other = tmp_path / "other-llama"
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.lm_head.weight.data.mul_(1.01)
    model.save_pretrained(other)
    artefact = register(finished_run(tmp_path / "run", "alien", other, adapter=trained[0].model))
    with pytest.raises(WrongBase) as failed:
        load(artefact.id, server)
    assert str(other) in failed.value.cause
    assert server_state.read(server.name).model in failed.value.cause
    assert model_names(server.base_url) == [server.model]


def test_the_same_base_under_another_path_is_the_same(server, trained, tiny_llama, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tiny_llama.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    artefact = register(finished_run(tmp_path / "run", "moved", copy, adapter=trained[0].model))
    load(artefact.id, server)
    assert artefact.id in model_names(server.base_url)


def test_what_answers_and_the_last_good_one_stay(server, trained):
    one, two = (register(folder) for folder in trained)
    promote(one.id, server, passing)
    promote(two.id, server, passing)
    for given in (one.id, two.id):
        with pytest.raises(RegistryError, match=r"promoted|rollback"):
            remove(given)
        with pytest.raises(RegistryError, match=r"promoted|rollback"):
            unload(given, server)
    rollback(server, to_base=True)
    unload(two.id, server)
    remove(two.id)
    with pytest.raises(RegistryError, match="no artefact"):
        show(two.id)


def test_a_promoted_adapter_that_the_server_lost_is_told_and_loaded_again(server, trained):
    one = register(trained[0])
    promote(one.id, server, passing)
    answer = said(server)
    server.unload_adapter(one.id)  # as after `hearth serve --stop`, which forgets adapters
    with pytest.raises(UnknownModel, match=f"hearth models load {one.id}"):
        said(server)
    load(one.id, server)
    assert said(server) == answer
    server.unload_adapter(one.id)
    load_promoted(server)  # as `hearth serve` does before it says that the server is there
    assert said(server) == answer


def test_changed_weights_are_not_loaded(server, trained):
    one = register(trained[0])
    weights = one.model / "adapter_model.safetensors"
    weights.chmod(0o644)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RegistryError, match="not those that were registered"):
        load(one.id, server)


def test_the_served_loss_is_the_loss_in_process(server, trained, tiny_llama):
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from decoder.base import run_sync

    one = register(trained[0])
    load(one.id, server)
    texts = [Text("1", "The hearth is warm."), Text("2", " in the evening.", "People gather"), Text("3", "x")]
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), one.model).eval()
    there, here = run_sync(served(server, one.id)(texts)), run_sync(in_process(model, tokenizer)(texts))
    assert [each and each.tokens for each in there] == [each and each.tokens for each in here]
    for one_loss, other in zip(there, here, strict=True):
        assert (one_loss is None) == (other is None)
        assert one_loss is None or one_loss.nats == pytest.approx(other.nats, rel=1e-3)
    base = run_sync(served(server, server.model)(texts))
    assert base[0].nats != pytest.approx(there[0].nats, rel=1e-2)


def test_the_gate_measures_served_models_against_each_other(server, trained, tmp_path):
    """The judge likes the answer that was taught; the candidate passes, and the other way round it does not."""
    one = register(trained[0])
    load(one.id, server)
    taught = said(server, one.id)

    def verdict(messages):
        first = messages[-1].text.split("<<<passage 2")[0]
        return json.dumps({"reasons": "", "verdict": "first" if taught in first else "second"})

    suite = Suite(asks=[ask(QUESTION, n) for n in range(12)], judge=ScriptedDecoder(verdict), sampling=GREEDY)
    with ServedDecoder(server.base_url, one.id) as new, ServedDecoder(server.base_url, server.model) as old:
        sides = Side(one.id, new), Side(server.model, old)
        assert evaluate(*sides, suite, GateRules(), tmp_path / "out").passed
        assert not evaluate(*reversed(sides), suite, GateRules()).passed


def test_the_command_line_does_all_of_it(server, trained, tmp_path, capsys):
    def hearth(*words):
        capsys.readouterr()
        code = main(["models", *map(str, words)])
        return code, capsys.readouterr()

    code, shown = hearth("register", trained[0].path, "--json")
    name = json.loads(shown.out)["id"]
    assert code == 0
    held_out = tmp_path / "held-out.jsonl"
    held_out.write_text("".join(json.dumps({"text": f"Text {n} of the house."}) + "\n" for n in range(8)))
    measure = ("--held-out", held_out, "--limit", "2", "--min-questions", "2", "--max-tokens", "4")
    code, shown = hearth("promote", name, *measure, "--tolerance", "loss=0.0001")
    assert code == 2, shown.err  # twelve steps on one sentence make other text less likely
    assert "loss" in shown.err
    allowed = ("--tolerance", "loss=100", "--tolerance", "harmful_refused=1", "--tolerance", "harmless_answered=1")
    code, shown = hearth("promote", name, *measure, *allowed, "--out", tmp_path / "report")
    assert (code, shown.out) == (0, f"{name} answers for tiny-llama from now on; tiny-llama is kept for a rollback\n")
    assert (tmp_path / "report" / "report.html").read_text().startswith("<!doctype html>")
    assert "promoted on tiny-llama" in hearth("list")[1].out
    code, shown = hearth("rollback")
    assert (code, shown.out) == (0, "tiny-llama answers again\n")
    assert hearth("rollback")[1].out == "nothing to take back: tiny-llama answers\n"
    assert hearth("evaluate", name, *measure, *allowed, "--baseline", "base")[0] == 0
    assert hearth("unload", name)[0] == 0
    assert hearth("remove", name)[0] == 0
