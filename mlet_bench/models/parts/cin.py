"""xDeepFM's compressed interaction network (Lian et al., arXiv 1803.05170)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlet_bench.embeddings.draw import Draws
from mlet_bench.models.mlp import MLP, torch_law
from mlet_bench.models.parts.cin_layers import SymmetricPairs, all_layers

ROWS = 1024  # of a batch scored at a time: its maps take d times their number a row


class CIN(nn.Module):
    """Maps of products of the fields' vectors, column by column of d, each layer one order higher.

    Map h of a layer is ReLU(Σ_ij W_hij x_i * v_j + b_h) over the maps x of the layer before (of the first: the fields'
    vectors) and the fields' vectors v, element by element. Of each layer but the last the first half of the maps goes
    to the next layer and the second half to the output; of the last all maps. The output is their sum over d.

    Args:
        fields: F.
        sizes: maps of each layer, even in all but the last.

    Attributes:
        outputs: how many maps reach the output.
        batched: run by the formula and autograd, which ``torch.vmap`` makes one kernel each of.

    Example::

        CIN(21, (256, 128), Draws(0))(vectors)  # (B, 21, d) → (B, 128 + 128)
    """

    batched = False

    def __init__(self, fields: int, sizes: Sequence[int], draws: Draws):
        super().__init__()
        self.kept = [*(size // 2 for size in sizes[:-1]), 0]  # maps that go to the next layer
        self.layers = nn.ModuleList(
            MLP([maps * fields, size], draws, last_relu=True, law=torch_law)
            for maps, size in zip([fields, *self.kept], sizes)
        )
        self.pairs = SymmetricPairs(fields)
        self.outputs = sum(sizes) - sum(self.kept)

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors: (B, F, d) → (B, outputs)."""
        if torch.is_grad_enabled():
            return self._sums(vectors)
        return torch.cat([self._sums(part) for part in vectors.split(ROWS)])

    def _sums(self, vectors: Tensor) -> Tensor:
        columns = vectors.transpose(1, 2).flatten(0, 1)  # (B·d, F): each column of d is a row of its own
        if self.batched:
            maps = self._by_formula(columns)
        else:
            maps = all_layers(columns, self.pairs, self.kept, *self.layers.parameters())
        return maps.unflatten(0, (-1, vectors.shape[2])).sum(1)  # (B, d, outputs) → (B, outputs)

    def _by_formula(self, columns: Tensor) -> Tensor:
        """columns: (N, F) → (N, outputs)."""
        x, out = columns, []
        for layer, kept in zip(self.layers, self.kept, strict=True):
            products = (x.unsqueeze(2) * columns.unsqueeze(1)).flatten(1)  # (N, in · F)
            x, direct = layer(products).tensor_split([kept], dim=1)
            out.append(direct)
        return torch.cat(out, dim=1)
