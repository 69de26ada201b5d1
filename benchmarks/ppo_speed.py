"""Episodes a second of our PPO, of TRL 1.12's PPOTrainer and of RLOO: `python -m benchmarks.ppo_speed --trl112 PYTHON`.

All train the same random Llama of 0.8M parameters on the same prompts, with responses of one length, the same reward
model and four passes over each rollout; both PPOs have a critic of their own. Each contender runs in a process of its
own, in turns, so that what else the machine does meets all alike; the first step is not counted. Printed are episodes
a second and ratios, with bootstrap intervals over the rounds.

PYTHON is the interpreter of an environment that holds the last TRL with a PPO, which is not this one:

    python -m venv /tmp/trl112 && /tmp/trl112/bin/pip install "torch==2.13.0" "trl==1.12.*" "transformers==5.19.*"

Without it only ours and RLOO (TRL's, which our `rloo` stage runs) are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORDS = ["fire", "house", "bread", "evening", "people", "hearth", "gather", "water", "stone", "light", "wood", "winter"]
PROMPTS = [f"{one} {two}" for one in WORDS for two in WORDS]
BATCH, LENGTH, PASSES, SEED = 32, 24, 4, 0


def build(folder: Path) -> None:
    """A policy, a reward model and their tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

    words = ["<pad>", "<stop>", "<unknown>", *WORDS, *(f"w{number}" for number in range(1000))]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<stop>")
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        num_labels=1,
    )
    for name, kind in (("policy", LlamaForCausalLM), ("reward", LlamaForSequenceClassification)):
        kind(config).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)


def reward_function(folder: Path) -> Any:
    """The reward model on prompt and response, as a function."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder / "reward").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "reward")

    @torch.no_grad()
    def reward(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        rows = [tokenizer(text)["input_ids"] + list(ids) for text, ids in zip(prompts, completion_ids, strict=True)]
        batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt", padding_side="right")
        scores: list[float] = model(**batch).logits[:, 0].tolist()
        return scores

    return reward


COMMON = {
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "per_device_train_batch_size": BATCH,
    "gradient_accumulation_steps": 1,
    "learning_rate": 1e-5,
    "temperature": 1.0,
    "save_strategy": "no",
    "logging_strategy": "no",
    "disable_tqdm": True,
    "seed": SEED,
}
NO_CHECKPOINTING = {"gradient_checkpointing": None, "activation_checkpointing": False}


def ours(folder: Path, steps: int) -> list[float]:
    """Times at the ends of our PPO's steps."""
    import time

    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    from alignment.ppo_config import PPOConfig
    from alignment.ppo_critic import ActorCritic, without_dropout
    from alignment.ppo_models import Models
    from alignment.ppo_trainer import PPOTrainer
    from alignment.reward_sources import checked
    from decoder.runs.folder import RunFolder

    config = PPOConfig(
        output_dir=str(folder / "ours"),
        max_steps=steps,
        max_completion_length=LENGTH,
        num_ppo_epochs=PASSES,
        critic="separate",
        **COMMON,
        **NO_CHECKPOINTING,
    )
    policy, frozen = (AutoModelForCausalLM.from_pretrained(folder / "policy") for _ in range(2))
    model = ActorCritic(policy, AutoModel.from_pretrained(folder / "policy"))
    without_dropout(model)
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    rows = [{"prompt": prompt} for prompt in PROMPTS]
    sources = [checked(reward_function(folder), "reward")]
    trainer = PPOTrainer(Models(model, frozen), tokenizer, rows, sources, config, RunFolder(folder))
    times = []
    for _ in range(steps):
        trainer.step()
        times.append(time.perf_counter())
    return times


def rloo(folder: Path, steps: int) -> list[float]:
    """Times at the ends of RLOO's rollouts."""
    import time

    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import RLOOConfig, RLOOTrainer

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % PASSES == 0:
                times.append(time.perf_counter())

    config = RLOOConfig(
        output_dir=str(folder / "rloo"),
        max_steps=steps * PASSES,
        max_completion_length=LENGTH,
        num_generations=4,
        num_iterations=PASSES,
        **COMMON,
        **NO_CHECKPOINTING,
    )
    trainer = RLOOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "policy"),
        processing_class=AutoTokenizer.from_pretrained(folder / "policy"),
        reward_funcs=reward_function(folder),
        args=config,
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS]),
        callbacks=[Clock()],
    )
    trainer.train()
    return times


def trl112(folder: Path, steps: int) -> list[float]:
    """Times at the ends of the updates of TRL 1.12's PPOTrainer."""
    import time

    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TrainerCallback,
    )
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            times.append(time.perf_counter())

    config = PPOConfig(
        output_dir=str(folder / "trl112"),
        total_episodes=steps * BATCH,
        response_length=LENGTH,
        num_ppo_epochs=PASSES,
        stop_token="eos",
        num_sample_generations=0,
        gradient_checkpointing=False,
        **COMMON,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", padding_side="left")
    data = Dataset.from_list([{"input_ids": tokenizer(prompt)["input_ids"]} for prompt in PROMPTS])
    policy, reference = (AutoModelForCausalLM.from_pretrained(folder / "policy") for _ in range(2))
    value, reward = (AutoModelForSequenceClassification.from_pretrained(folder / "reward") for _ in range(2))
    trainer = PPOTrainer(
        args=config,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward,
        value_model=value,
        train_dataset=data,
        eval_dataset=data.select(range(BATCH)),
        callbacks=[Clock()],
    )
    trainer.train()
    return times


CONTENDERS = {"ours": ours, "trl112": trl112, "rloo": rloo}


def measure(python: str, name: str, folder: Path, steps: int) -> float:
    """Episodes a second of one contender in a process of its own."""
    command = [python, str(Path(__file__).resolve()), "--contender", name, "--folder", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, "--steps", str(steps)], env=environment, capture_output=True, text=True, timeout=1800, check=False
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    times = json.loads(done.stdout.strip().splitlines()[-1])
    if len(times) < 2:
        raise SystemExit(f"{name} made {len(times)} steps; give --steps 3 or more")
    return BATCH * (len(times) - 1) / (times[-1] - times[0])


def main() -> int:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trl112", default="", help="Python of an environment with TRL 1.12")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--contender", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contender:
        print(json.dumps(CONTENDERS[given.contender](Path(given.folder), given.steps)))
        return 0
    from prompts.intervals import mean

    pythons = {"ours": sys.executable, "rloo": sys.executable} | ({"trl112": given.trl112} if given.trl112 else {})
    found: dict[str, list[float]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        for number in range(given.rounds):
            for name in list(pythons)[:: 1 if number % 2 else -1]:
                found[name].append(measure(pythons[name], name, Path(folder), given.steps))
                print(f"round {number + 1}, {name}: {found[name][-1]:.1f} episodes/s", flush=True)
    for name in found:
        figures = mean(found[name])
        print(f"{name}: {figures.value:.1f} episodes/s [{figures.low:.1f}, {figures.high:.1f}]")
    for name in found:
        if name != "ours":
            ratio = mean([one / other for one, other in zip(found["ours"], found[name], strict=True)])
            print(f"ours / {name}: {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
