"""CoLA: several A and several B that work together in pairs, and begin as W0's principal part.

With the pairs (i, j) of a strategy and s = alpha / r

    y = W0 x + s Σ_(i,j) (B_j A_i − B_0 A_0) x,

where all A_i begin as A_0 = √(S_r / s) V_rᵀ / N and all B_j as B_0 = U_r √(S_r / s) / M, from the
singular value decomposition W0 = U S Vᵀ (PiSSA, divided among N and M matrices).

- ``full``: all pairs, (Σ_j B_j)(Σ_i A_i). The initial product s M N B_0 A_0 is the principal part.
- ``random``: in training each A_i works with one B_j, drawn in each forward pass of each layer from
  torch's generator of the device. The initial product is 1/M of the principal part, whatever is
  drawn, since the B_j are equal. In evaluation each A_i has the mean of the B_j, which is what it
  has on average in training: 1/M of ``full``, a fixed matrix.
- ``heuristic``: A_i works with ⌊M/N⌋ consecutive B_j, A_0 with the rest of them, too: with the
  first ⌊M/N⌋ + M mod N. M pairs, so that the initial product is 1/N of the principal part.

This departs from the authors' code. That code subtracts the whole principal part from W0 under
every strategy, and so begins, but for ``full``, at another model than W0; here what is subtracted
is the strategy's own initial product. Theirs draws in evaluation, too, and drops other inputs for
each pair. It gives the rest of ``heuristic`` to A_0, A_1, … by one, which is the same where one or
none is left.

As long as they begin alike, the A_i of ``full`` get the same gradient, and so do the B_j: they stay
equal, and differ from PiSSA in the step size alone. The same is true of A_i and B_j that
``heuristic`` pairs alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from peft import PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterModel,
    LowRankConfig,
    build_number_error,
    register_tuner,
)
from sweeper_adapters._tuner.decomposition import decompose_leading, demand_iterations
from sweeper_adapters._tuner.origin import OriginLinear

__all__ = ["ColaConfig", "ColaLinear", "ColaModel"]

_CHOICES = {
    "collaboration": ("full", "random", "heuristic"),
    "init": ("pissa", "lora"),
}


@dataclass
class ColaConfig(LowRankConfig):
    """Config of a CoLA adapter."""

    down_projections: int = 2
    """Matrices A: N."""
    up_projections: int = 3
    """Matrices B: M."""
    collaboration: Literal["full", "random", "heuristic"] = "full"
    """Which A work together with which B."""
    init: Literal["pissa", "lora"] = "pissa"
    """``pissa`` begins with the principal part of W0; ``lora`` with random A and B of zero."""
    svd_iterations: int | None = 16
    """Subspace iterations of the randomised decomposition of large weights; None for the exact one
    of all. A config in inference mode, as an adapter is loaded by default, decomposes nothing, nor
    does ``low_cpu_mem_usage``: the values come from the file."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("COLA")
        self._check("cola", "down_projections", "up_projections")
        demand_iterations("cola", self.svd_iterations)
        for name, known in _CHOICES.items():
            self._check_choice("cola", name, known)
        if self.collaboration == "heuristic" and self.up_projections < self.down_projections:
            raise build_number_error(
                "cola",
                "up_projections",
                self.up_projections,
                allowed=f"down_projections ({self.down_projections}) or more with collaboration "
                "'heuristic', so that each A has a B",
            )


class ColaLinear(OriginLinear):
    """A linear layer with CoLA adapters."""

    adapter_layer_names = ("cola_A", "cola_B")
    other_param_names = ("scaling", "collaboration")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.collaboration: dict[str, str] = {}

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer.

        Raises:
            ValueError: the initial values need a weight that is quantised, or not there, or of a
                lower rank.
        """
        assert isinstance(config, ColaConfig)
        self.collaboration[adapter_name] = config.collaboration
        counts = (config.down_projections, config.up_projections)
        self._add(adapter_name, config, counts, keeps=config.init == "pissa")
        if config.init == "pissa" and not config.inference_mode:
            self._begin_at_principal_part(adapter_name, config)
        self._finish(adapter_name, config)

    def _begin_at_principal_part(self, adapter_name: str, config: ColaConfig) -> None:
        weight = self.weight
        downs, ups = self._projections(adapter_name)
        if weight.is_meta or downs.weight.is_meta:
            # There are no values, or they are about to be loaded.
            return
        self._demand_weight(weight, config)
        matrix = weight.detach().T if self.is_transposed else weight.detach()
        left, values, right = decompose_leading(matrix, config.r, iterations=config.svd_iterations)
        roots = (values / self.scaling[adapter_name]).sqrt()
        down = roots[:, None] * right / downs.weight.shape[0]
        up = left * roots / ups.weight.shape[0]
        self.begin_at(adapter_name, down, up)

    def _demand_weight(self, weight: Tensor, config: ColaConfig) -> None:
        """Raises ValueError unless the weight can be decomposed."""
        advice = "take init 'lora', or load a saved adapter with low_cpu_mem_usage"
        if not weight.is_floating_point() or weight.numel() != self.in_features * self.out_features:
            raise ValueError(
                "cola: init 'pissa' decomposes the frozen weight, which is of "
                f"{weight.dtype} with {weight.numel()} elements where the layer is "
                f"{self.in_features} -> {self.out_features}; it must be whole, and not quantised; "
                f"{advice}"
            )
        limit = min(self.in_features, self.out_features)
        if config.r > limit:
            raise build_number_error("cola", "r", config.r, allowed=f"1 to {limit} for this layer")

    def _pairs(self, adapter_name: str, *, is_training: bool) -> tuple[Tensor, float]:
        downs, ups = self._projections(adapter_name)
        count, others = downs.weight.shape[0], ups.weight.shape[0]
        device, scale = ups.weight.device, self.scaling[adapter_name]
        strategy = self.collaboration[adapter_name]
        if strategy == "heuristic":
            rest = others % count
            order = torch.arange(others, device=device)
            owner = (order - rest).clamp_min(0) // (others // count)
            return owner == torch.arange(count, device=device)[:, None], scale
        if strategy == "random" and is_training:
            drawn = torch.randint(others, (count, 1), device=device)
            return drawn == torch.arange(others, device=device), scale
        if strategy == "random":
            scale /= others
        return torch.ones(1, others, device=device), scale


class ColaModel(AdapterModel):
    """A model with CoLA adapters."""

    prefix = "cola_"
    tuner_layer_cls = ColaLinear


register_tuner(ColaConfig, ColaModel)
