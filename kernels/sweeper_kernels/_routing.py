"""The order of the columns that the kernels of MASA's routed form read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Routing"]

# A load of 16 bytes or more is a part of one up-projection's scores.
_FEWEST_SCORES = 8


@dataclass(frozen=True)
class Routing:
    """Sizes of the routed form, and the order of the columns of h.

    h has the features A_i x of all experts, then for each up-projection the scores of all experts,
    filled up to a power of two. So a kernel reads whole vectors, whatever the number of experts is.
    """

    experts: int
    up_projections: int
    rank: int

    @property
    def features(self) -> int:
        """The number of columns of features, which come first."""
        return self.experts * self.rank

    @property
    def width(self) -> int:
        """Columns of the scores of one up-projection."""
        return max(_FEWEST_SCORES, 1 << (self.experts - 1).bit_length())

    @property
    def columns(self) -> int:
        """Columns of h."""
        return self.features + self.up_projections * self.width

    def joined(self, features: Tensor, scores: Tensor) -> Tensor:
        """Returns rows for features and rows for scores in the order above, [columns, ...].

        Args:
            features: [experts * R, P].
            scores: [experts * up_projections, P].
        """
        by_expert = scores.view(self.experts, self.up_projections, -1)
        filled = F.pad(by_expert.transpose(0, 1), (0, 0, 0, self.width - self.experts))
        return torch.cat([features, filled.flatten(0, 1)])

    def parted(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the features and the scores that :meth:`joined` took."""
        filled = joined[self.features :].view(self.up_projections, self.width, -1)
        return joined[: self.features], filled[:, : self.experts].transpose(0, 1).flatten(0, 1)
