"""The pool of old translations that a discriminator is shown, too (Shrivastava et al. 2017, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """The last pictures, replaced at random; in buffers, so that a resumed run has the same ones.

    Args:
        shape: of a picture.
        size: pictures kept; 0: the newest are always shown. 50 in Zhu et al. 2017, section 4.
    """

    pictures: Tensor
    filled: Tensor

    def __init__(self, shape: tuple[int, int, int], size: int) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    def swap(self, pictures: Tensor) -> Tensor:
        """Take in new pictures [n, ...], give back as many: while it fills, the new ones; then each time with chance
        one half an old one, which the new one replaces, and else the new one.

        Randomness comes from torch's global generator.
        """
        size = len(self.pictures)
        if not size:
            return pictures
        shown = pictures.detach().clone()
        for i, picture in enumerate(pictures.detach()):
            count = int(self.filled)
            if count < size:
                self.pictures[count] = picture
                self.filled += 1
            elif float(torch.rand(())) < 0.5:
                place = int(torch.randint(size, ()))
                shown[i] = self.pictures[place]
                self.pictures[place] = picture
        return shown
