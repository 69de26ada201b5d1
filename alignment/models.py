"""Tokenizers and models as the stages load them: safetensors only, never a model's own code, adapters on their base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.errors import ModelError, WrongBase
from alignment.sections import LoraSection, ModelSection
from decoder.errors import MissingExtra

if TYPE_CHECKING:
    from peft import LoraConfig

STEP = "loading the model"
EXTRA = "align"


def require_training() -> None:
    """Say what to install when the stages' packages are missing. Raises MissingExtra."""
    import warnings
    from importlib.util import find_spec

    # peft asks transformers by a name that is going away; there is nothing that the reader could do about it.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

    for package in ("torch", "transformers", "trl", "peft", "accelerate", "datasets"):
        if find_spec(package) is None:
            raise MissingExtra("opening alignment", package, EXTRA)


def resolve(path: str) -> str:
    """A folder or hub name for what a recipe calls a model; ids of the registry are looked up.

    Raises ModelError when it looks like a folder and is none.
    """
    if not path:
        raise ModelError(STEP, "no model is named", "Say in model.path which model is taught")
    given = Path(path).expanduser()
    if given.is_dir():
        return str(given.resolve())  # an adapter remembers its base by this path, wherever it is loaded later
    if found := _registered(path):
        return str(found)
    if path.startswith((".", "/", "~")) or path.count("/") != 1:
        raise ModelError(STEP, f"there is no model {path!r}", "Give a folder, a hub name, or an id of `hearth models`")
    return path


def load_tokenizer(section: ModelSection) -> Any:
    """The tokenizer, with a pad token and, where the recipe names one, another chat template.

    A tokenizer without a pad token is refused when its end-of-sequence token would have to stand in: a model that is
    taught to ignore padding would be taught never to stop.

    Raises:
        ModelError: there is none, or it has no pad token that differs from the end-of-sequence token.
    """
    from transformers import AutoTokenizer

    source = resolve(section.path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source, revision=section.revision or None, trust_remote_code=False, local_files_only=Path(source).is_dir()
        )
    except Exception as error:  # a damaged tokenizer.json makes the libraries raise errors of any kind
        raise ModelError("loading the tokenizer", _first_line(error), "Give a folder with a tokenizer") from error
    if section.chat_template:
        tokenizer.chat_template = _read(Path(section.chat_template).expanduser())
    if tokenizer.pad_token is None:
        tokenizer.pad_token = _spare_token(tokenizer)
    return tokenizer


def load_decoder(section: ModelSection, lora: LoraSection | None = None, trainable: bool = True) -> Any:
    """A causal language model; with `section.adapter`, wrapped in peft with that adapter; with `lora`, a new one.

    Raises:
        ModelError: it cannot be loaded, or QLoRA was asked for where there is no GPU.
        WrongBase: the adapter belongs to another base model.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    source = resolve(section.path)
    refuse_adapter(source)
    try:
        model = AutoModelForCausalLM.from_pretrained(source, **loading_arguments(section, source))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(STEP, _first_line(error), "Give a folder with whole safetensors weights") from error
    return with_adapter(model, section, source, lora, trainable)


def with_adapter(
    model: Any, section: ModelSection, source: str, lora: LoraSection | None, trainable: bool = True
) -> Any:
    """`model` with the section's adapter, a new one, or as it is.

    Raises:
        ModelError: the adapter cannot be loaded, or does not fit the model.
        WrongBase: it belongs to another base model.
    """
    import peft
    from safetensors import SafetensorError

    folder = Path(resolve(section.adapter)) if section.adapter else None
    if folder is not None:
        check_base(folder, source)
    try:
        if folder is not None:
            return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
        return peft.get_peft_model(model, lora_config(lora)) if lora is not None else model
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        remedy = "Give a folder that peft saved for this model" if folder is not None else "Mend the section lora"
        raise ModelError("making the adapter", _first_line(error), remedy) from error


def refuse_adapter(source: str) -> None:
    """Refuse an adapter where a whole model belongs: transformers would load its base and put it on, without a word,
    and what is trained then would be an adapter of that pair, which no server makes up again.

    Raises ModelError.
    """
    folder = Path(source)
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        remedy = "Name its base model in model.path, and the adapter in model.adapter"
        raise ModelError(STEP, f"{folder} is an adapter, not a whole model", remedy)


def lora_config(lora: LoraSection, task_type: str = "CAUSAL_LM") -> LoraConfig:
    """peft's configuration of a section."""
    import peft

    return peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type=task_type,
    )


def loading_arguments(section: ModelSection, source: str) -> dict[str, Any]:
    """Keyword arguments of `from_pretrained`: precision, quantization, and nothing that runs foreign code."""
    import torch

    gpu = torch.cuda.is_available()
    dtype = section.dtype if section.dtype != "auto" else ("bfloat16" if gpu else "float32")
    arguments: dict[str, Any] = {
        "revision": section.revision or None,
        "dtype": getattr(torch, dtype),
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": Path(source).is_dir(),
    }
    if section.attn_implementation != "auto":
        arguments["attn_implementation"] = section.attn_implementation
    if section.quantization == "4bit":
        arguments["quantization_config"] = _four_bit(gpu)
    return arguments


def checked_adapter(adapter: str, base: str) -> Path:
    """The folder of an adapter, where it is one of `base`, in safetensors: peft would else read a pickle.

    Both are folders or ids of the registry; the base may be a hub name. Raises ModelError, WrongBase.
    """
    folder = Path(resolve(adapter))
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(STEP, f"{adapter} holds no adapter_model.safetensors", "Give a folder that peft saved")
    check_base(folder, resolve(base))
    return folder


def check_base(adapter: Path, base: str) -> None:
    """Refuse an adapter whose configuration names another base model. Raises WrongBase, ModelError."""
    file = adapter / "adapter_config.json"
    try:
        named = str(json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(STEP, f"{adapter} is no adapter: {error}", "Give a folder that peft saved") from error
    if named and not _same_model(named, base):
        remedy = "Give the adapter's own base model"
        raise WrongBase(STEP, f"the adapter {adapter} is one of {named}, not of {base}", remedy)


def _same_model(one: str, other: str) -> bool:
    """The same place, or the same weights under two paths."""
    first, second = Path(one).expanduser(), Path(other).expanduser()
    if one == other or (first.is_dir() and second.is_dir() and first.resolve() == second.resolve()):
        return True
    return first.is_dir() and second.is_dir() and weights_hash(first) == weights_hash(second)


def weights_hash(folder: Path) -> str:
    """SHA-256 over a model folder's config.json and safetensors, in the order of their names, in hexadecimal."""
    import hashlib

    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json")]):
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _four_bit(gpu: bool) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if not gpu:
        raise ModelError(STEP, "4-bit quantization (QLoRA) needs a GPU", "Leave out model.quantization")
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _spare_token(tokenizer: Any) -> str:
    """A token that is known and can stand for padding: one that says so, else the unknown token."""
    known = tokenizer.get_vocab()
    names = ("<pad>", "[PAD]", "<|pad|>", "<|endoftext|>", "<|finetune_right_pad_id|>", tokenizer.unk_token)
    for name in names:
        if name and name in known and name != tokenizer.eos_token:
            return str(name)
    remedy = "Add one: tokenizer.add_special_tokens({'pad_token': '<pad>'}), and resize the model's embeddings"
    raise ModelError("loading the tokenizer", "it has no pad token beside its end-of-sequence token", remedy)


def _registered(path: str) -> Path | None:
    """The folder of a registered artefact, by its id or its name; None when nothing is called so."""
    from alignment.errors import RegistryError
    from alignment.registry_artefact import models_folder
    from alignment.registry_names import find_id

    try:
        folder = models_folder() / find_id(path) / "model"
    except RegistryError:
        return None
    return folder if folder.is_dir() else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError("reading the chat template", f"{file}: {error}", "Give a Jinja file") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
