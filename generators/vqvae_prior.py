"""p(codes | class) over a grid of codes, row by row: a small causal transformer, trained by cross-entropy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CodePrior(nn.Module):
    """Args:
    codes: size of the codebook.
    places: of the grid.
    classes: labels; 0 means that codes depend on none.
    width, layers, heads, dropout: of the transformer.
    """

    def __init__(
        self, codes: int, places: int, classes: int, width: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.places, self.classes = places, classes
        self.words = nn.Embedding(codes, width)
        self.kinds = nn.Embedding(max(classes, 1), width)
        for table in (self.words, self.kinds):  # as small as the places', which would else be drowned
            nn.init.normal_(table.weight, 0, 0.02)
        self.place = nn.Parameter(0.02 * torch.randn(places, width))
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, codes)

    def forward(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Logits [n, k + 1, codes] of the next code after each of the first 0 to k ones, from codes [n, k]."""
        which = labels if labels is not None and self.classes else torch.zeros(len(codes), dtype=torch.long)
        kinds = self.kinds(which.to(codes.device))[:, None]
        seen = torch.cat([torch.zeros_like(kinds), self.words(codes)], 1) + kinds  # the class is told at every place
        length = seen.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=codes.device)
        states = self.body(seen + self.place[:length], mask=mask, is_causal=True)
        logits: Tensor = self.head(states)
        return logits

    def nats(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """-log p of each code [n, places], in nats."""
        logits = self(codes[:, :-1], labels)
        return functional.cross_entropy(logits.movedim(-1, 1), codes, reduction="none")

    @torch.no_grad()
    def draw(self, count: int, labels: Tensor | None, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Codes [count, places]; equal for equal states of the generator, which is the CPU's."""
        device = self.place.device
        codes = torch.zeros(count, 0, dtype=torch.long, device=device)
        for _ in range(self.places):
            chances = (self(codes, labels)[:, -1] / temperature).softmax(-1).cpu()
            codes = torch.cat([codes, torch.multinomial(chances, 1, generator=generator).to(device)], 1)
        return codes
