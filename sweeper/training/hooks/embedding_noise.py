"""NEFTune: uniform noise on the embeddings of tokens, in training alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["add_noise"]


def add_noise(embedding: torch.nn.Module, *, alpha: float) -> Any:  # noqa: ANN401 - torch's handle
    """Adds noise to what an embedding puts out, as long as it is in training mode.

    NEFTune (Jain et al. 2023, arXiv:2310.05914, algorithm 1): uniform in ``alpha / sqrt(T * D)``
    and its negative, where T is the length of the rows, padding included, and D their width.

    Args:
        embedding: puts out [B, T, D].
        alpha: scale of the noise, above 0.

    Returns:
        torch's handle of the hook, which ``remove`` takes away.
    """
    import torch

    def add(module: torch.nn.Module, _: object, output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        bound = alpha / math.sqrt(output.shape[1] * output.shape[2])
        return output + torch.empty_like(output).uniform_(-bound, bound)

    return embedding.register_forward_hook(add)
