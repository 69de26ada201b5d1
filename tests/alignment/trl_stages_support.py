"""Rows and recipes of the tests that train for real: small enough for seconds, distinct enough to be told apart."""

import json

from alignment.recipe import make_recipe

WORDS = [
    "hearth",
    "house",
    "evening",
    "bread",
    "fire",
    "token",
    "people",
    "answer",
    "search",
    "decoder",
    "middle",
    "limit",
]
SETTINGS = {
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "max_steps": 4,
    "logging_steps": 1,
    "save_steps": 2,
    "learning_rate": 3e-3,
}


def talk(word):
    return {
        "messages": [{"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": f"It is {word}."}]
    }


def pair(word):
    return {"prompt": f"Say {word}. ", "chosen": f"It is {word}.", "rejected": "I will not say what it is."}


def vote(word, up):
    return {"prompt": f"Say {word}. ", "completion": f"It is {word}." if up else "I will not.", "label": up}


def prompt(word):
    return {"prompt": f"Say {word}. "}


ROWS = {
    "sft": [talk(word) for word in WORDS],
    "dpo": [pair(word) for word in WORDS],
    "kto": [vote(word, up) for word in WORDS[:6] for up in (True, False)],
    "grpo": [prompt(word) for word in WORDS],
    "rloo": [prompt(word) for word in WORDS],
}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def recipe(stage, folder, llama, rows=None, **more):
    """A recipe of `stage` that trains an adapter of the tiny Llama on `rows`; `training` is merged into SETTINGS."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {
        "stage": stage,
        "name": stage,
        "output": str(folder / "run"),
        "model": {"path": str(llama)},
        "data": {"train": write(folder / "rows.jsonl", rows or ROWS[stage])},
        "lora": {"r": 4},
        "register": False,
    }
    values |= {key: value for key, value in more.items() if key != "training"}
    lengths = {"max_completion_length": 8, "num_generations": 2} if stage in ("grpo", "rloo") else {"max_length": 96}
    return make_recipe(values | {"training": {**SETTINGS, **lengths, **more.get("training", {})}})


def weights(folder):
    """The tensors of a result or a checkpoint, by name."""
    from safetensors.torch import load_file

    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def same(one, other):
    import torch

    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def losses(folder):
    return [line["loss"] for line in folder.metrics() if "loss" in line]
