"""CoLA."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["ColaSpec"]


class ColaSpec(LowRankSpec):
    """CoLA: pairs of A and B that work together, ``y = W0 x + alpha / rank * sum_ij B_j A_i x``.

    All A and all B begin as the principal part of W0 (PiSSA, divided among them), which is
    subtracted, so that the model begins as it was. It departs from the authors' code where the
    pairs are not all there are: what is subtracted is then what those pairs begin with, and what is
    drawn at random in training is averaged in evaluation. The base is not changed: the file holds A
    and B and the values that they began with, and weighs 1 + 1/N and 1 + 1/M as much.
    """

    source: ClassVar[str] = "Zhou et al. 2025, CoLA, arXiv:2505.15471, and its authors' code"
    tuner: ClassVar[Tuner | None] = Tuner("COLA", folder="cola", stem="Cola")
    # Only with init lora does it; the principal part is the same for all seeds.
    start_depends_on_seed: ClassVar[bool] = False

    name: Literal["cola"] = "cola"
    """Tag of this method."""
    down_projections: int = Field(default=2, ge=1, le=64)
    """Matrices A of a layer: N."""
    up_projections: int = Field(default=3, ge=1, le=64)
    """Matrices B of a layer: M."""
    collaboration: Literal["full", "random", "heuristic"] = "full"
    """Which A work together with which B: ``full`` all with all; ``random`` each A with one B that
    each forward pass draws; ``heuristic`` each A with as many consecutive B as there are for each,
    and the first A with those that are left over. ``heuristic`` needs a B for each A."""
    init: Literal["pissa", "lora"] = "pissa"
    """``pissa`` begins with the principal part of the frozen weight, which must not be quantised;
    ``lora`` with random A and B of zero."""
    svd_iterations: int | None = Field(default=16, ge=1, le=64)
    """Subspace iterations of the fast, randomised decomposition of large weights; ``null`` computes
    the exact one, which takes far longer. Small weights are always decomposed exactly."""

    @model_validator(mode="after")
    def _each_a_has_a_b(self) -> Self:
        if self.collaboration == "heuristic" and self.up_projections < self.down_projections:
            raise ValueError(
                f"up_projections is {self.up_projections} with collaboration 'heuristic'; allowed "
                f"is down_projections ({self.down_projections}) or more, so that each A has a B; "
                "give more up_projections"
            )
        return self

    @property
    def exports_lora(self) -> bool:
        """True; ``random`` is the LoRA that it is in evaluation."""
        return True

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A and B."""
        return (
            shape.layers
            * self.rank
            * sum(
                self.down_projections * x.in_features + self.up_projections * x.out_features
                for x in self.adapted(shape)
            )
        )

    def peft_config(self) -> PeftConfig:
        """Returns our ``ColaConfig``."""
        from sweeper_adapters.methods.cola.tuner import ColaConfig

        return ColaConfig(
            r=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            down_projections=self.down_projections,
            up_projections=self.up_projections,
            collaboration=self.collaboration,
            init=self.init,
            svd_iterations=self.svd_iterations,
            dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _hooks(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - the base class's signature
    ) -> Training:
        """Returns training whose checkpoints hold the initial values."""
        from sweeper_adapters._tuner.origin import OriginTraining

        return OriginTraining(model)
