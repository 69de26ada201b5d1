"""Under bfloat16 every family's losses are finite, carry gradients, and leave its buffers as they were made."""

import pytest
import torch

from generators.families import FAMILIES, family_class, family_config
from generators.pictures import Pictures

SMALL_UNET = {"unet": {"channels": [8, 8], "groups": 4}}
SMALL = {
    "vae": {"hidden": 16},
    "autoencoder_kl": {"channels": [8, 8]},
    "vqvae": {"channels": [8, 8], "codes": 8, "prior_width": 16, "prior_layers": 1, "revive_below": 0.9},
    "ddpm": SMALL_UNET,
    "flow_matching": SMALL_UNET,
    "pix2pix": {"width": 8},
    "cyclegan": {"width": 8, "blocks": 1},
    "latent_text_to_image": {"autoencoder": {"channels": [8, 8]}, "channels": [8, 8], "text_width": 16},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_phase_trains_in_bfloat16(family):
    torch.manual_seed(0)
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    targets = images[:, :1] if family in ("pix2pix", "cyclegan") else None
    labels, names = torch.arange(4) % 2, ("cat", "dog")
    pictures = Pictures(images, labels, names, ("a cat", "a dog") * 2, targets)
    values = SMALL.get(family, {"width": 8})
    model = family_class(family).build(family_config(family, values), pictures).train()
    before = {name: buffer.dtype for name, buffer in model.named_buffers()}
    for phase in {p.name: p for progress in (0.0, 0.9) for p in model.phases(progress)}.values():
        model.before(phase.name, pictures)
        for step in range(8 if family == "vqvae" else 1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(phase.name, pictures.batch(torch.arange(4 if step == 0 else 1)))["loss"]
            model.zero_grad()
            loss.backward()
        assert bool(torch.isfinite(loss))
        for part in phase.parts:
            gradients = [p.grad for p in model.get_submodule(part).parameters() if p.requires_grad]
            assert all(bool(torch.isfinite(g).all()) for g in gradients if g is not None)
            assert not gradients or any(bool(g.any()) for g in gradients if g is not None)
    assert {name: buffer.dtype for name, buffer in model.named_buffers()} == before
