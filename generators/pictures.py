"""Pictures in memory, as every family and every metric takes them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """What a loss is computed on.

    Attributes:
        images: [n, channels, size, size] in [-1, 1].
        labels: [n] int64, or None.
        captions: n texts, or none at all.
        targets: [n, channels, size, size] in [-1, 1] of a second domain, or None.
    """

    images: Tensor
    labels: Tensor | None = None
    captions: tuple[str, ...] = ()
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Pictures:
    """A set of pictures of one size.

    Attributes:
        images: [n, channels, size, size] uint8.
        labels: [n] int64, or None.
        class_names: of the labels, by number.
        captions: one a picture, or none at all.
        targets: [m, channels, size, size] uint8 of a second domain; m is n where they are paired.
        paired: the i-th target belongs to the i-th picture.
        names: of the files, one a picture, or none at all.
        source: where they come from, for people.
    """

    images: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    targets: Tensor | None = None
    paired: bool = True
    names: tuple[str, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """1 or 3."""
        return int(self.images.shape[1])

    @property
    def size(self) -> int:
        """Pixels a side."""
        return int(self.images.shape[2])

    @property
    def classes(self) -> int:
        """Number of classes; 0 without labels."""
        return len(self.class_names) if self.labels is not None else 0

    def batch(self, index: Tensor, target_index: Tensor | None = None) -> Batch:
        """The pictures at `index` [k]; unpaired targets are those at `target_index` [k]."""
        targets = None
        if self.targets is not None:
            targets = as_floats(self.targets[index if self.paired or target_index is None else target_index])
        return Batch(
            as_floats(self.images[index]),
            self.labels[index] if self.labels is not None else None,
            tuple(self.captions[i] for i in index.tolist()) if self.captions else (),
            targets,
        )

    def subset(self, index: Tensor) -> Pictures:
        """The pictures at `index` [k]; unpaired targets stay whole."""
        chosen = index.tolist()
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index] if self.labels is not None else None,
            captions=tuple(self.captions[i] for i in chosen) if self.captions else (),
            names=tuple(self.names[i] for i in chosen) if self.names else (),
            targets=self.targets[index] if self.targets is not None and self.paired else self.targets,
        )

    def floats(self) -> Tensor:
        """All pictures, [n, channels, size, size] in [-1, 1]."""
        return as_floats(self.images)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """Pictures to train on, and pictures that no training sees."""

    train: Pictures
    test: Pictures
    skipped: tuple[Skipped, ...] = field(default=())


def as_floats(images: Tensor) -> Tensor:
    """uint8 values as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def as_bytes(images: Tensor) -> Tensor:
    """Floats in [-1, 1] as uint8 values; what lies outside is clipped."""
    import torch

    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
