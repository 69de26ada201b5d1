"""What differs between two artefacts: recipe, data, figures, and the weights themselves, module by module."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.errors import RegistryError
from alignment.registry_artefact import Artefact

if TYPE_CHECKING:
    import torch

STEP = "comparing artefacts"


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """How far one module's weights are apart.

    Attributes:
        module: its name; of an adapter, the module that it adapts.
        norm: Frobenius norm of the difference; of adapters, of the difference of what they add to the base's weights.
        relative: the same over the larger of the two norms; 0 where both are 0.
    """

    module: str
    norm: float
    relative: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Second against first.

    Attributes:
        facts: what else differs, by dotted name, as (first, second); None where one lacks it.
        modules: weights; empty where the two are of different kinds.
    """

    first: str
    second: str
    facts: Mapping[str, tuple[Any, Any]]
    modules: tuple[ModuleChange, ...]

    @property
    def norm(self) -> float:
        """Of the whole difference of weights."""
        return math.sqrt(sum(change.norm**2 for change in self.modules))


def diff(first: Artefact, second: Artefact) -> Difference:
    """Hold two artefacts against each other. Raises RegistryError when weights cannot be read."""
    left, right = _facts(first), _facts(second)
    names = dict.fromkeys((*left, *right))
    facts = {name: (left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)}
    modules = _modules(first, second) if first.kind == second.kind else ()
    return Difference(first.id, second.id, facts, modules)


def _facts(artefact: Artefact) -> dict[str, Any]:
    plain = artefact.plain()
    kept = ("kind", "stage", "base", "base_sha256", "parents", "data", "recipe", "metrics", "code", "libraries")
    return dict(_flat({name: plain[name] for name in kept}, ""))


def _flat(value: Any, name: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        return [each for key in value for each in _flat(value[key], f"{name}.{key}".lstrip("."))]
    return [(name, list(value) if isinstance(value, tuple) else value)]


def _modules(first: Artefact, second: Artefact) -> tuple[ModuleChange, ...]:
    from safetensors import SafetensorError

    try:
        if first.kind == "adapter":
            return _adapters(first.model, second.model)
        return _tensors(first.model, second.model)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ArithmeticError, SafetensorError) as error:
        raise RegistryError(STEP, f"the weights cannot be read: {error}", "See `hearth models verify`") from error


def _adapters(first: Path, second: Path) -> tuple[ModuleChange, ...]:
    """A LoRA adds (alpha / r) B A (Hu et al. 2021). The norm of a sum of such products needs no full matrix:
    ||B A||^2 = tr((B^T B) (A A^T)), with the two adapters' factors side by side.
    """
    import torch

    left, right = _factors(first), _factors(second)
    changes = []
    for name in sorted({*left, *right}):
        parts = [(sign, side[name]) for sign, side in ((1.0, left), (-1.0, right)) if name in side]
        outer = torch.cat([sign * b for sign, (b, _) in parts], dim=1)
        inner = torch.cat([a for _, (_, a) in parts], dim=0)
        changes.append(_change(name, _norm(outer, inner), [_norm(b, a) for _, (b, a) in parts]))
    return tuple(changes)


def _factors(folder: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """B (out, r), scaled, and A (r, in) of each adapted module."""
    from safetensors.torch import load_file

    settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    rank, alpha = settings["r"], settings["lora_alpha"]
    scale = alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank
    tensors = load_file(folder / "adapter_model.safetensors")
    ends = ".lora_A.weight", ".lora_B.weight"
    names = sorted(key.removesuffix(ends[0]) for key in tensors if key.endswith(ends[0]))
    return {
        name.removeprefix("base_model.model."): (
            tensors[name + ends[1]].double() * scale,
            tensors[name + ends[0]].double(),
        )
        for name in names
    }


def _norm(outer: torch.Tensor, inner: torch.Tensor) -> float:
    squared = float(((outer.T @ outer) * (inner @ inner.T)).sum())
    return math.sqrt(max(squared, 0.0))


def _tensors(first: Path, second: Path) -> tuple[ModuleChange, ...]:
    """Tensor by tensor, one pair in memory at a time."""
    left, right = _places(first), _places(second)
    changes = []
    for name in sorted({*left, *right}):
        one, two = (_tensor(side[name], name) if name in side else None for side in (left, right))
        found = [tensor for tensor in (one, two) if tensor is not None]
        apart = one - two if one is not None and two is not None and one.shape == two.shape else None
        norm = float(apart.norm()) if apart is not None else math.hypot(*(float(each.norm()) for each in found))
        changes.append(_change(name, norm, [float(each.norm()) for each in found]))
    return tuple(changes)


def _places(folder: Path) -> dict[str, Path]:
    from safetensors import safe_open

    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            found.update(dict.fromkeys(opened.keys(), file))
    return found


def _tensor(file: Path, name: str) -> torch.Tensor:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        tensor: torch.Tensor = opened.get_tensor(name).double()
    return tensor


def _change(name: str, norm: float, norms: list[float]) -> ModuleChange:
    largest = max(norms)
    return ModuleChange(name, norm, norm / largest if largest else 0.0)
