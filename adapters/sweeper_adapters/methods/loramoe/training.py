"""LoRAMoE's balance of experts: a loss on what the routers do, added to that of the language model.

For one adapted layer, with p the router's gates:

    Z[sample, i] = (Σ_tokens p_i) · (1 + δ if expert i's half is the sample's type, else 1 − δ)
    loss = β · var(Z) / (mean(Z)² + 1e-10)

Mean and variance (unbiased) are those of all samples and experts of a micro-batch together, and the
losses of all adapted layers are summed, as in the authors' code
(https://github.com/Ablustrund/LoRAMoE/blob/a2470ef695481bc0442fe0757f1df36d64e439f7/peft/tuners/lora.py
and its ``modeling_llama.py``). There, too, samples of type 1 belong to the first half of the
experts and those of type 0 to the second.

The loss is least where Z is the same everywhere, which is where the half that has the sample's type
gets the smaller share of its tokens, (1 − δ) : (1 + δ). So the halves part, each for the samples of
the other's type. That is what the definition comes to, and it is kept.

Two things differ. Padding does not count here, while the original sums over it. Gates stay in
float32, while the original rounds them to the model's dtype. And as there, each worker's
micro-batch has a loss of its own: two workers do what one does in two accumulated micro-batches,
which is not quite what one does in a micro-batch of twice the size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sweeper_adapters.methods.moelora.tuner import MoeModel
from sweeper_adapters.training import Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["BalancedTraining", "balance_loss"]


def balance_loss(shares: Tensor, types: Tensor, *, type_bias: float) -> Tensor:
    """Returns LoRAMoE's localized balancing constraint, summed over layers.

    Args:
        shares: Σ_tokens p, [L, B, N], float32; N is even.
        types: of each sample, [B]: 1 for the first half of the experts, 0 for the second.
        type_bias: δ, 0 to 1.
    """
    half = shares.shape[-1] // 2
    first = torch.arange(2 * half, device=shares.device) < half
    is_own = first == (types[:, None] == 1)
    z = shares * (1 + type_bias * (2 * is_own.to(shares) - 1))
    losses = z.var(dim=(1, 2)) / (z.mean(dim=(1, 2)).square() + 1e-10)
    return losses.sum()


class BalancedTraining(Training):
    """Training of a mixture of LoRA experts with LoRAMoE's balance."""

    def __init__(self, model: PeftModel, *, balance: float, type_bias: float) -> None:
        """Notes the loss.

        Args:
            model: with a mixture of an even number of experts.
            balance: β, its weight.
            type_bias: δ, how much more a sample counts at the experts of its own type.
        """
        super().__init__(model)
        assert isinstance(model.base_model, MoeModel)
        self._gate_record = model.base_model.gate_record
        self._balance = balance
        self._type_bias = type_bias
        self._types: Tensor | None = None

    def set_task_ids(self, task_ids: Tensor) -> None:
        """Takes the type of each sample, [B]: 1 for the first half of the experts, 0 for the rest.

        The gates of one forward pass are kept from here to :meth:`auxiliary_loss`.
        """
        self._types = task_ids
        self._gate_record.start()

    def auxiliary_loss(self) -> Tensor:
        """Returns β times the balance of the last forward pass in training mode; forgets it.

        Raises:
            ValueError: the types of its samples are not known, or it kept no graph, so that the
                loss would train nothing.
        """
        shares = self._gate_record.take()
        if not shares or self._types is None:
            raise ValueError(
                "loramoe: task ids are none for the last forward pass in training mode; needed is "
                "one for each sample, 0 or 1; call set_task_ids before the pass"
            )
        if not all(share.requires_grad for share in shares):
            raise ValueError(
                "loramoe: the gates of the last forward pass have no gradient, as under reentrant "
                "gradient checkpointing; the balance of experts needs one; checkpoint with "
                "use_reentrant=False"
            )
        loss = balance_loss(torch.stack(shares), self._types, type_bias=self._type_bias)
        return self._balance * loss
