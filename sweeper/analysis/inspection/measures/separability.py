"""How well features tell tasks apart: a silhouette and a linear probe, against permuted labels.

A picture of t-SNE proves nothing: it shows clusters also of noise. Both scores are of the features
themselves, have an error over rows, and stand beside what they are when labels mean nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.estimates import Estimate

__all__ = [
    "Separation",
    "probe_separation",
    "silhouette_difference",
    "silhouette_separation",
]

# Of the ridge, relative to the mean eigenvalue of Xᵀ X: features have no scale of their own.
_RIDGE = 1e-2
# Labels that are permuted at once.
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Separation:
    """A score of separability, and what chance gives."""

    score: Estimate
    """With its standard error over rows."""
    null: NDArray[np.float64]
    """The score with labels permuted, float64 [draws]."""

    @property
    def p_value(self) -> float:
        """(1 + permutations that score as much) / (1 + permutations), one-sided."""
        return float((1 + (self.null >= self.score.value).sum()) / (1 + len(self.null)))


def silhouette_separation(x: Tensor, labels: Tensor, *, draws: int, seed: int) -> Separation:
    """Returns the mean silhouette of tasks as clusters (Rousseeuw 1987), by Euclidean distance.

    s = (b − a) / max(a, b) of a row, where a is its mean distance to the others of its task and b
    that to the nearest other task. 1 is separate, 0 is mixed. The error is a jackknife over rows.

    Args:
        x: features, [N, P], any floating-point dtype.
        labels: the task of each row, [N], int64, from 0; each task has two rows or more.
        draws: permutations of the labels.
        seed: of the permutations.
    """
    distances, one_hot = _distances(x), torch.nn.functional.one_hot(labels).double()
    found = float(_silhouettes(distances, one_hot[None]).mean())
    error = _jackknife_error(_without_each(distances, one_hot))
    null = [
        _silhouettes(distances, one_hot[drawn]).mean(dim=1)
        for drawn in _permutations(len(labels), draws, seed)
    ]
    return Separation(Estimate(found, error, len(labels)), torch.cat(null).numpy())


def silhouette_difference(x: Tensor, y: Tensor, labels: Tensor) -> Estimate:
    """Returns the mean silhouette of x minus that of y, with a jackknife over their common rows.

    Args:
        x: features, [N, P], any floating-point dtype.
        y: others of the same rows, [N, Q].
        labels: the task of each row, [N], int64, from 0; each task has two rows or more.
    """
    one_hot = torch.nn.functional.one_hot(labels).double()
    of_both = [_distances(x), _distances(y)]
    first, second = (float(_silhouettes(own, one_hot[None]).mean()) for own in of_both)
    without = [_without_each(own, one_hot) for own in of_both]
    return Estimate(first - second, _jackknife_error(without[0] - without[1]), len(labels))


def _distances(x: Tensor) -> Tensor:
    """Returns the distance of each pair of rows, [N, N], float64."""
    return torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")


def _jackknife_error(without: Tensor) -> float:
    rows = len(without)
    return math.sqrt((rows - 1) / rows * float(((without - without.mean()) ** 2).sum()))


def _permutations(rows: int, draws: int, seed: int) -> list[Tensor]:
    """Returns permutations of rows, in parts of [D, N]."""
    drawn = np.random.default_rng(seed)
    order = np.stack([drawn.permutation(rows) for _ in range(draws)])
    return [torch.from_numpy(order[x : x + _AT_ONCE]) for x in range(0, draws, _AT_ONCE)]


def _silhouettes(distances: Tensor, one_hot: Tensor) -> Tensor:
    """Returns s of each row, [D, N].

    Args:
        distances: [N, N], with a diagonal of zeros.
        one_hot: the tasks of D labellings, [D, N, K].
    """
    return _compared(distances @ one_hot, one_hot.sum(dim=1, keepdim=True), one_hot)


def _compared(sums: Tensor, sizes: Tensor, one_hot: Tensor) -> Tensor:
    """Returns s from the sums of distances to each task, [..., N, K], and the tasks' sizes."""
    is_own = one_hot.bool()
    own = (sums * one_hot).sum(-1) / ((sizes * one_hot).sum(-1) - 1).clamp_min(1)
    others = (sums / sizes.clamp_min(1)).masked_fill(is_own | (sizes == 0), math.inf)
    nearest = others.min(dim=-1).values
    found = (nearest - own) / torch.maximum(nearest, own)
    # Of a task with one row alone nothing is said; nor where all distances are zero.
    is_alone = (sizes * one_hot).sum(-1) <= 1
    return found.nan_to_num(0.0).masked_fill(is_alone, 0.0)


def _without_each(distances: Tensor, one_hot: Tensor) -> Tensor:
    """Returns the mean silhouette without each row, [N]."""
    sums, sizes = distances @ one_hot, one_hot.sum(dim=0)
    found = []
    for row in range(len(one_hot)):
        left = sums - distances[:, row, None] * one_hot[row]
        own = _compared(left, (sizes - one_hot[row])[None], one_hot)
        found.append((own.sum() - own[row]) / (len(one_hot) - 1))
    return torch.stack(found)


def probe_separation(x: Tensor, labels: Tensor, *, draws: int, seed: int) -> Separation:
    """Returns the balanced accuracy of a linear probe on rows that it has not seen.

    The probe is a ridge regression on the tasks' indicators, each row predicted by the probe of all
    others: ŷ_(−i) = (ŷ_i − h_ii y_i) / (1 − h_ii), exact without training N probes (Hastie et al.
    2009, Eq. 7.64). The error is that of the mean of the tasks' recalls, rows being independent.

    Args:
        x: features, [N, P], any floating-point dtype; each is scaled to variance 1.
        labels: the task of each row, [N], int64, from 0; each task has two rows or more.
        draws: permutations of the labels.
        seed: of the permutations.
    """
    one_hot = torch.nn.functional.one_hot(labels).double()
    hat = _hat(x.double())
    recalls = _recalls(hat, one_hot[None])[0]
    sizes = one_hot.sum(dim=0)
    variance = (recalls * (1 - recalls) / (sizes - 1).clamp_min(1)).sum() / len(sizes) ** 2
    score = Estimate(float(recalls.mean()), math.sqrt(float(variance)), len(labels))
    null = [
        _recalls(hat, one_hot[drawn]).mean(dim=1)
        for drawn in _permutations(len(labels), draws, seed)
    ]
    return Separation(score, torch.cat(null).numpy())


def _hat(x: Tensor) -> Tensor:
    """Returns X (Xᵀ X + λ)⁻¹ Xᵀ of standardised features with an intercept, [N, N]."""
    spread = x.std(dim=0)
    x = (x - x.mean(dim=0)) / torch.where(spread > 0, spread, 1)
    left, values, _ = torch.linalg.svd(x, full_matrices=False)
    squares = values**2
    shares = squares / (squares + _RIDGE * squares.mean().clamp_min(1e-300))
    hat: Tensor = (left * shares) @ left.mT + 1 / len(x)
    return hat


def _recalls(hat: Tensor, one_hot: Tensor) -> Tensor:
    """Returns the share of each task's rows that are told right, [D, K].

    Args:
        hat: [N, N].
        one_hot: the tasks of D labellings, [D, N, K].
    """
    own = hat.diagonal()[:, None]
    left = ((hat @ one_hot) - own * one_hot) / (1 - own).clamp_min(1e-9)
    counts = one_hot.sum(dim=1, keepdim=True)
    # Tasks of different sizes count alike: else all rows would be told to be of the largest.
    priors = (counts - one_hot) / (counts.sum(dim=-1, keepdim=True) - 1)
    told = (left - priors).argmax(dim=-1)
    is_right = torch.nn.functional.one_hot(told, one_hot.shape[-1]) * one_hot
    return is_right.sum(dim=1) / counts[:, 0]
