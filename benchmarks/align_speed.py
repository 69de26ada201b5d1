"""Tokens per second of SFT and DPO through Hearth, against plain TRL on the same data, model and settings.

    python -m benchmarks.align_speed [--rounds 8] [--steps 30] [--model FOLDER] [--json]

Both take turns in one process, after a round that does not count; who begins changes from round to round. What is timed
is `Trainer.train`: steps, logs and one checkpoint, without imports, reading of data and loading of the model, which are
left out on both sides alike. The ratio is taken within each round; its mean has a bootstrap interval, whose lower end
must be at least 0.95. "CPU ratio" is the same of tokens per CPU second, which what else runs on the machine disturbs
less. "whole run" is everything that Hearth does besides (checks of data and masks, samples, hashes),
as a ratio to plain TRL's reading, training and saving; short runs make it look worse than long ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
BAR = 0.95
DATA = {"sft": "example:conversations", "dpo": "example:preferences"}
SETTINGS = {
    "max_length": 512,
    "per_device_train_batch_size": 8,
    "learning_rate": 1e-3,
    "logging_steps": 5,
}


def make_model(folder: Path, hidden_size: int) -> Path:
    """A random Llama of four layers with a tokenizer of 1,024 tokens, trained on the conversations that ship."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from alignment.data import load_data
    from alignment.sections import DataSection

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<system>", "<user>", "<assistant>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rows = load_data(DataSection(train=DATA["sft"]), "sft").train
    tokenizer.train_from_iterator((m["content"] for row in rows for m in row["messages"]), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = (
        "{% for m in messages %}<{{ m['role'] }}>{% if m['role'] == 'assistant' %}{% generation %}"
        "{{ m['content'] }}</s>{% endgeneration %}{% else %}{{ m['content'] }}</s>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=1024,
        hidden_size=hidden_size,
        intermediate_size=3 * hidden_size,
        num_hidden_layers=4,
        num_attention_heads=max(1, hidden_size // 64),
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@contextmanager
def timed_training(seconds: list[tuple[float, float]]):
    """Adds the duration of each `Trainer.train`, and its CPU seconds."""
    from transformers import Trainer

    plain = Trainer.train

    def train(self, *args, **kwargs):
        start, cpu = time.perf_counter(), time.process_time()
        try:
            return plain(self, *args, **kwargs)
        finally:
            seconds.append((time.perf_counter() - start, time.process_time() - cpu))

    Trainer.train = train
    try:
        yield
    finally:
        Trainer.train = plain


def hearth(stage: str, model: Path, output: Path, steps: int) -> tuple[float, list[dict]]:
    """Train through Hearth. Returns the seconds of the whole run, and the trainer's logs."""
    from alignment.recipe import make_recipe
    from alignment.stages import train

    values = {"stage": stage, "name": stage, "output": str(output), "model": {"path": str(model)}, "register": False}
    values |= {"data": {"train": DATA[stage]}, "lora": {"r": 8}}
    values |= {"training": {**SETTINGS, "max_steps": steps, "save_steps": steps}}
    recipe = make_recipe(values)
    start = time.perf_counter()
    folder = train(recipe)
    return time.perf_counter() - start, folder.metrics()


def trl(stage: str, model: Path, output: Path, steps: int) -> tuple[float, list[dict]]:
    """Train with TRL alone, as its documentation does it. Returns the same."""
    import trl as library
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from alignment.data import load_data
    from alignment.sections import DataSection

    start = time.perf_counter()
    rows = load_data(DataSection(train=DATA[stage]), stage).train
    name = stage.upper()
    more = {"assistant_only_loss": True} if stage == "sft" else {}
    args = getattr(library, f"{name}Config")(
        output_dir=str(output), seed=0, max_steps=steps, save_steps=steps, report_to="none", disable_tqdm=True,
        gradient_checkpointing=None, **house(), **SETTINGS, **more,
    )  # fmt: skip
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trainer = getattr(library, f"{name}Trainer")(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="bfloat16" if house()["bf16"] else "float32"),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules=modules, task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model(str(output / "model"))
    return time.perf_counter() - start, trainer.state.log_history


def house() -> dict[str, bool]:
    """What Hearth sets by the machine: bfloat16 and recomputed activations on a GPU."""
    import torch

    gpu = torch.cuda.is_available()
    return {"use_cpu": not gpu, "bf16": gpu, "activation_checkpointing": gpu, "dataloader_pin_memory": gpu}


def one(who, stage: str, model: Path, steps: int) -> dict[str, float]:
    """Tokens per second and the whole run's seconds of one training."""
    seconds: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as place, timed_training(seconds), redirect_stdout(sys.stderr):
        whole, logs = who(stage, model, Path(place) / "run", steps)
    tokens = max(line["num_tokens"] for line in logs if "num_tokens" in line)
    wall, cpu = seconds[0]
    return {"tokens/s": tokens / wall, "tokens/CPU s": tokens / cpu, "whole": whole, "tokens": tokens}


def compare(stage: str, model: Path, rounds: int, steps: int) -> dict[str, object]:
    """Rounds of both, and the ratios within each."""
    from prompts.intervals import mean

    for who in (hearth, trl):
        one(who, stage, model, 2)
    ratios, cpus, wholes, rates = [], [], [], {"hearth": [], "trl": []}
    for turn in range(rounds):
        order = (hearth, trl) if turn % 2 == 0 else (trl, hearth)
        found = {who.__name__: one(who, stage, model, steps) for who in order}
        if found["hearth"]["tokens"] != found["trl"]["tokens"]:
            raise SystemExit(f"{stage}: they did not train on the same tokens: {found}")
        for name, figures in found.items():
            rates[name].append(figures["tokens/s"])
        ratios.append(found["hearth"]["tokens/s"] / found["trl"]["tokens/s"])
        cpus.append(found["hearth"]["tokens/CPU s"] / found["trl"]["tokens/CPU s"])
        wholes.append(found["trl"]["whole"] / found["hearth"]["whole"])
        print(
            f"{stage}, round {turn + 1} of {rounds}: {ratios[-1]:.3f} (CPU {cpus[-1]:.3f})", file=sys.stderr, flush=True
        )
    ratio, cpu, whole = mean(ratios), mean(cpus), mean(wholes)
    return {
        "stage": stage,
        "hearth tokens/s": round(sum(rates["hearth"]) / rounds),
        "TRL tokens/s": round(sum(rates["trl"]) / rounds),
        "ratio": round(ratio.value, 3),
        "low": round(ratio.low, 3),
        "high": round(ratio.high, 3),
        "CPU ratio": round(cpu.value, 3),
        "CPU low": round(cpu.low, 3),
        "whole run": round(whole.value, 3),
        "rounds": rounds,
        "passes": ratio.low >= BAR,
    }


def main() -> None:
    """Run the benchmark and print its table; exit code 1 when a lower end is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--model", type=Path, help="a model's folder; by default a random one is made")
    parser.add_argument("--hidden-size", type=int, default=256, help="of the random model")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves its own choice")
    parser.add_argument("--stages", nargs="+", default=["sft", "dpo"], choices=["sft", "dpo"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    import torch
    from datasets import disable_progress_bars

    disable_progress_bars()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        model = options.model or make_model(Path(place) / "llama", options.hidden_size)
        found = [compare(stage, model, options.rounds, options.steps) for stage in options.stages]
    if options.json:
        print(json.dumps(found))
    else:
        names = list(found[0])
        print(" | ".join(f"{name:>15}" for name in names))
        for line in found:
            print(" | ".join(f"{line[name]!s:>15}" for name in names))
    sys.exit(0 if all(line["passes"] for line in found) else 1)


if __name__ == "__main__":
    main()
