"""Inception's features in a judge's place, where `torch_fidelity` and the weights it fetches are there.

They are those of Heusel et al. (2017) as torch-fidelity ported them: what published FIDs are computed in. They need
torch-fidelity (which brings torchvision) and 91 MB of weights; the figures of a judge need neither.
"""

from __future__ import annotations

import dataclasses
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from torch import Tensor, nn

from generators.errors import FeaturesMissing

if TYPE_CHECKING:
    from generators.judge import Judge

STEP = "measuring in Inception's features"
REMEDY = "pip install torch-fidelity, which brings torchvision, or set evaluation.features to judge"


class InceptionFeatures(nn.Module):
    """Pictures [n, c, h, w] in [-1, 1] to [n, 2048]; grey ones are repeated to three channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """[n, 2048]."""
        from generators.pictures import as_bytes

        found: Tensor = self.network(as_bytes(images).expand(-1, 3, -1, -1))[0]
        return found.float()


def with_inception(judge: Judge) -> Judge:
    """The judge with Inception's features; classes are still told by the judge.

    Raises:
        FeaturesMissing: torch_fidelity is not installed, or its weights cannot be had.
    """
    if find_spec("torch_fidelity") is None:
        raise FeaturesMissing(STEP, "torch_fidelity is not installed", REMEDY)
    module = import_module("torch_fidelity.feature_extractor_inceptionv3")
    try:
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    except OSError as error:  # no network, or no disk
        raise FeaturesMissing(STEP, f"its weights cannot be had: {error}", REMEDY) from error
    extractor = InceptionFeatures(network).eval()
    return dataclasses.replace(judge, name="2048 features of Inception v3 (torch-fidelity)", extractor=extractor)
