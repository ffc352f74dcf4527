"""LoRAMoE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods.moelora.spec import MixtureSpec

if TYPE_CHECKING:
    from peft import PeftModel

    from sweeper_adapters.training import Training

__all__ = ["LoraMoeSpec"]


class LoraMoeSpec(MixtureSpec):
    """LoRAMoE: MoELoRA with a loss that parts the experts into two halves, one for knowledge.

    Adds ``balance * var(Z) / (mean(Z)² + 1e-10)``, summed over all adapted layers, to the loss of
    each micro-batch, where ``Z[sample, i] = (Σ_tokens p_i) * (1 ± type_bias)``: plus where expert i
    is in the half of the sample's type, minus where it is not. Mean and variance are those of all
    samples and experts together, as in the authors' code. The loss is least where a sample's own
    half gets the smaller share of its tokens, ``(1 - type_bias) : (1 + type_bias)``.

    Departing from that code, padding does not count, and one dropout mask is drawn for all experts;
    there one for each, which is ``expert_dropout: each``. The original adapts the feed-forward
    layers alone: targets gate_proj, up_proj, down_proj. Each micro-batch of each worker is balanced
    for itself, so how a global batch is split into them is part of the method.
    """

    source: ClassVar[str] = "LoRAMoE, arXiv:2312.09979, localized balancing constraint"

    name: Literal["loramoe"] = "loramoe"
    """Tag of this method."""
    # The authors' script, run_loramoe.sh, has eight.
    experts: int = Field(default=8, ge=2, le=256, multiple_of=2)
    """Experts of each layer, an even number: two halves."""
    balance: float = Field(default=0.1, ge=0)
    """Weight β of the loss that balances the experts."""
    type_bias: float = Field(default=0.1, ge=0, le=1)
    """δ: how much more a sample counts at the experts of its own type, and less at the others."""
    knowledge_domains: tuple[str, ...] = ()
    """Domains of the data whose samples are of the first half's type: those that ask for world
    knowledge. All others are of the second's."""

    @property
    def needs_task_ids(self) -> bool:
        """True: the balance is between samples of two types."""
        return True

    @property
    def answers_by_task(self) -> bool:
        """False: the types of samples have to do with the balance alone, in training."""
        return False

    def task_ids(self, domains: Sequence[str]) -> tuple[int, ...]:
        """Returns 1 for each domain of knowledge and 0 for each other.

        Args:
            domains: names, sorted, each once; a single empty name where the data has none.

        Raises:
            ValueError: no domain of the data is one of knowledge.
        """
        ids = tuple(int(domain in self.knowledge_domains) for domain in domains)
        if not any(ids):
            raise ValueError(
                "loramoe: knowledge_domains names no domain of the data; it is "
                f"{list(self.knowledge_domains)}; the data has {_list_names(domains)}; "
                "name those whose samples ask for world knowledge"
            )
        return ids

    def _hooks(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - the base class's signature
    ) -> Training:
        """Returns training with the loss that balances the experts."""
        from sweeper_adapters.methods.loramoe.training import BalancedTraining

        return BalancedTraining(model, balance=self.balance, type_bias=self.type_bias)


def _list_names(domains: Sequence[str]) -> str:
    return ", ".join(domain for domain in domains if domain) or "none"
