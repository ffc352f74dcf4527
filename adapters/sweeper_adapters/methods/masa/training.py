r"""Collapsed training of MASA: one matrix in the place of N that get the same gradient.

Under sum aggregation each A_i has the gradient G of the sum (the paper's Eq. 8), so AdamW, whose
moments start at zero, moves all of them alike: with d_i = A_i(0) − A_sum(0)/N, learning rates η_t,
weight decay λ and c_t = Π(1 − η_t λ) over the steps so far,

    A_i(t) = A_sum(t)/N + c_t d_i.

It is enough to train A_sum, which moves like one matrix with learning rate Nη and weight decay λ/N.
What is trained here is Ã = A_sum/√N. Its gradient is √N G, whose square is that of N gradients G,
so the norm that is clipped is the plain form's under any engine. AdamW's step is unchanged by a
factor of the gradient once ε has it, too: so Ã has learning rate √N η, weight decay λ/√N and √N ε.

The same holds for M up-projections B_j, all of which start at zero. The passes cost what LoRA's do:
√N is a factor of the scale s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sweeper_adapters.methods.masa.tuner import Experts, MasaLinear
from sweeper_adapters.training import ParameterGroup, Parameters, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["CollapsedTraining"]

_SIDES = ("masa_A", "masa_B")
_STATE = ("decay", "decay_b")


class _Collapsed(Experts):
    """N matrices that are trained as one, Ã = A_sum/√N, [P, Q]."""

    def __init__(self, plain: Experts) -> None:
        nn.Module.__init__(self)
        # Kept out of the module tree: it must not be trained, moved or saved.
        self._plain = (plain,)
        self.count = plain.weight.shape[0]
        self.factor = math.sqrt(self.count)
        self.weight = nn.Parameter((plain.total() / self.factor).to(plain.weight))
        # A loaded adapter differs from what its seed gives, and has to be kept, as does one that
        # was rounded to a base's 16 bits. None is loaded where parameters are only counted and
        # have no values.
        is_new = plain.weight.is_meta or torch.equal(plain.weight, plain.initial().to(plain.weight))
        self._loaded = None if is_new else plain.weight.detach().cpu()
        plain.weight.data = plain.weight.data.new_empty(0)

    def matrix(self) -> Tensor:
        """Returns Ã, [P, Q]."""
        return self.weight

    def total(self) -> Tensor:
        """Returns A_sum, [P, Q]."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        return weight * self.factor

    def expanded(self, decay: float) -> Experts:
        """Returns the N matrices again.

        Args:
            decay: c_t, the product of 1 − ηλ over the steps that were applied.
        """
        [plain] = self._plain
        total = self.total().detach()
        shape = (self.count, *total.shape)
        # In the dtype that an engine has given the adapter.
        plain.weight.data = self.weight.data.new_empty(shape)
        first = plain.initial() if self._loaded is None else self._loaded
        first = first.to(total)
        plain.weight.data.copy_((total - decay * first.sum(0)) / self.count + decay * first)
        return plain


class CollapsedTraining(Training):
    """Training of MASA's sums alone; the adapter is saved with all of its matrices."""

    def __init__(self, model: PeftModel) -> None:
        super().__init__(model)
        self._decays = dict.fromkeys(_SIDES, 1.0)
        self._collapsed: dict[Experts, _Collapsed] = {}
        for _, container, name in self._places():
            plain = container[name]
            assert isinstance(plain, Experts)
            # A shared one is met again.
            if plain in self._collapsed:
                continue
            if plain.weight.requires_grad and plain.weight.shape[0] > 1:
                self._collapsed[plain] = _Collapsed(plain)
        self._swap(dict(self._collapsed))

    def _own_groups(self) -> list[ParameterGroup]:
        """Returns the sums, by number of matrices, and what is not a sum."""
        by_count: dict[int, list[nn.Parameter]] = {}
        for module in self._collapsed.values():
            by_count.setdefault(module.count, []).append(module.weight)
        collapsed = {id(module.weight) for module in self._collapsed.values()}
        rest = tuple(
            p for p in self.model.parameters() if p.requires_grad and id(p) not in collapsed
        )
        groups = [ParameterGroup(rest)] if rest else []
        for count, parameters in sorted(by_count.items()):
            root = math.sqrt(count)
            groups.append(ParameterGroup(tuple(parameters), root, 1 / root, root))
        return groups

    def after_step(
        self,
        parameters: Parameters,  # noqa: ARG002 - the factors of the groups do it all
        *,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        """Notes how much the differences between the matrices have decayed."""
        for side, factor in zip(_SIDES, (1.0, self.b_learning_rate_factor), strict=True):
            self._decays[side] *= 1 - factor * learning_rate * weight_decay

    def state(self) -> Mapping[str, Tensor]:
        """Returns c_t, that of the A and that of the B."""
        decays = (torch.tensor(x, dtype=torch.float64) for x in self._decays.values())
        return dict(zip(_STATE, decays, strict=True))

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets c_t."""
        # Checkpoints of earlier versions, which know no factor of B, have one for both.
        values = (float(state.get(key, state["decay"])) for key in _STATE)
        self._decays = dict(zip(_SIDES, values, strict=True))

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Gives the model all of its matrices while it is open."""
        decays = {container[name]: self._decays[side] for side, container, name in self._places()}
        modules = self._collapsed.values()
        self._swap({module: module.expanded(decays[module]) for module in modules})
        try:
            yield
        finally:
            self._swap(dict(self._collapsed))

    def _places(self) -> list[tuple[str, nn.ModuleDict, str]]:
        """Returns side, container and name of active adapters' matrices, shared ones each time."""
        return [
            (side, getattr(layer, side), name)
            for layer in self.model.modules()
            if isinstance(layer, MasaLinear)
            for side in _SIDES
            for name in layer.active_adapters
            if layer.holds(name)
        ]

    def _swap(self, replaced: Mapping[Experts, Experts]) -> None:
        for _, container, name in self._places():
            module = container[name]
            if module in replaced:
                assert isinstance(module, Experts)
                container[name] = replaced[module]
