"""A 4-bit layer of any width on the CPU; imports bitsandbytes."""

from __future__ import annotations

import torch.nn.functional as F
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from torch import Tensor

__all__ = ["OneRowLinear4bit"]


# mypy is told not to look into bitsandbytes.
class OneRowLinear4bit(Linear4bit):  # type: ignore[misc]
    """A layer whose weight is quantised as if it were one long row.

    bitsandbytes 0.50 cuts a weight into blocks without regard to its rows, but on the CPU it
    restores each row as if a block began there. What comes out is wrong, unless the width is a
    multiple of the block.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``W x``, [..., O], for x, [..., I]."""
        row = dequantize_4bit(self.weight.data, self.weight.quant_state)
        weight = row.view(self.out_features, self.in_features)
        return F.linear(x, weight.to(x.dtype), self.bias)
