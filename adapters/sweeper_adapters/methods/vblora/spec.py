"""VB-LoRA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from sweeper_adapters.methods._base import MethodSpec
from sweeper_adapters.methods._facts import ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["VbloraSpec"]


class VbloraSpec(MethodSpec):
    """VB-LoRA (arXiv:2405.15179), PEFT's: LoRA put together from vectors of one bank.

    Eqs. 3.1 to 3.3 of the paper: the rows of A and the columns of B are cut into pieces of
    ``vector_length``; each piece is a mean of the ``top_k`` vectors of the bank that have the
    largest logits, weighed by their softmax. All layers share the bank. The defaults have the
    number of parameters that the MASA paper prints (0.2613 % on LLaMA3-8B).
    """

    source: ClassVar[str] = "Li et al. 2024, arXiv:2405.15179, Eqs. 3.1 to 3.3"
    # B starts with the bank's random vectors as A does.
    start_tolerance: ClassVar[float | None] = None

    name: Literal["vblora"] = "vblora"
    """Tag of this method."""
    rank: int = Field(default=8, ge=1)
    """Rows of A and columns of B."""
    vectors: int = Field(default=256, ge=1)
    """Vectors in the bank; each piece of A and B has one logit for each."""
    vector_length: int = Field(default=256, ge=1)
    """Elements of a vector; it divides the widths of all targets."""
    top_k: int = Field(default=2, ge=1)
    """Vectors that a piece is made of."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""
    bank_bound: float = Field(default=0.02, gt=0)
    """The bank starts uniform between minus this and this."""
    logits_std: float = Field(default=0.1, gt=0)
    """Standard deviation of the first logits."""
    logits_learning_rate: float = Field(default=10.0, gt=0)
    """Factor of the learning rate for the logits: its authors train them with 0.01, the bank with
    0.001."""
    saves_top_k: bool = False
    """Whether the adapter file holds indices and weights in the place of logits: much smaller, but
    it cannot be trained on."""

    @model_validator(mode="after")
    def _bank_has_top_k(self) -> VbloraSpec:
        if self.top_k > self.vectors:
            raise ValueError(
                f"top_k is {self.top_k} but the bank has {self.vectors} vectors; "
                f"allowed is 1 to {self.vectors}; lower top_k or raise vectors"
            )
        return self

    @property
    def exports_lora(self) -> bool:
        """True: A and B are those of a LoRA of this rank."""
        return True

    @property
    def saves_as_trained(self) -> bool:
        """Whether the file holds the logits."""
        return not self.saves_top_k

    def count(self, shape: ModelShape) -> int:
        """Returns the elements of the bank, and the logits of each piece of A and B."""
        pieces = sum(
            self.rank * (x.in_features + x.out_features) // self.vector_length
            for x in self.adapted(shape)
        )
        return self.vectors * (self.vector_length + shape.layers * pieces)

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``VBLoRAConfig``."""
        from peft import VBLoRAConfig

        return VBLoRAConfig(
            r=self.rank,
            num_vectors=self.vectors,
            vector_length=self.vector_length,
            topk=self.top_k,
            vblora_dropout=self.dropout,
            init_vector_bank_bound=self.bank_bound,
            init_logits_std=self.logits_std,
            save_only_topk_weights=self.saves_top_k,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that give the logits a learning rate of their own."""
        from sweeper_adapters.methods.vblora.training import VbloraTraining

        del steps  # no schedule of its own
        return VbloraTraining(model, logits_learning_rate=self.logits_learning_rate)

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.rank)
        for x in self.adapted(shape):
            if x.in_features % self.vector_length or x.out_features % self.vector_length:
                yield (
                    "vector_length",
                    f"vector_length is {self.vector_length} but {x.name} is {x.in_features} -> "
                    f"{x.out_features}; it must divide both; "
                    f"give a divisor of both or leave {x.name} out of targets",
                )
