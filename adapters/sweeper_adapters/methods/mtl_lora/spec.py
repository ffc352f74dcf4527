"""MTL-LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["MtlLoraSpec"]


class MtlLoraSpec(LowRankSpec):
    """MTL-LoRA: one A for all tasks; each task turns its output and mixes several B.

    ``y = W0 x + alpha / rank * (Σ_i softmax(w_t / temperature)_i B_i) Λ_t A x`` for a sample of
    task t. With one task it is a LoRA: the weights of the B are learned, but do not depend on the
    input. That is how MASA's tables count it.
    """

    source: ClassVar[str] = "MTL-LoRA, arXiv:2410.09437"
    tuner: ClassVar[Tuner | None] = Tuner("MTLLORA", folder="mtl_lora", stem="MtlLora")

    name: Literal["mtl_lora"] = "mtl_lora"
    """Tag of this method."""
    up_projections: int = Field(default=3, ge=1, le=256)
    """Up-projections B of each layer."""
    temperature: float = Field(default=0.1, gt=0)
    """What the logits of the softmax are divided by: the smaller, the fewer B a task uses."""
    tasks: int = Field(default=1, ge=1, le=10_000)
    """Tasks, each with its own Λ and weights of the B. Above 1 it is the number of domains of the
    data, which then must be known of each example; with 1 all examples are of one task."""

    @property
    def is_mergeable(self) -> bool:
        """Whether there is one task: several have each an update of their own."""
        return self.tasks == 1

    @property
    def exports_lora(self) -> bool:
        """Whether there is one task: then ΔW = s (Σ_i softmax(w / τ)_i B_i Λ) A."""
        return self.tasks == 1

    @property
    def needs_task_ids(self) -> bool:
        """Whether there are several tasks."""
        return self.tasks > 1

    def task_ids(self, domains: Sequence[str]) -> tuple[int, ...]:
        """Returns 0, 1, … for the domains, in their order; 0 for all where there is one task.

        Args:
            domains: names, sorted, each once; a single empty name where the data has none.

        Raises:
            ValueError: there are several tasks, but not as many domains.
        """
        if self.tasks == 1:
            return (0,) * len(domains)
        if len(domains) != self.tasks:
            named = [domain for domain in domains if domain]
            plural = "" if len(named) == 1 else "s"
            names = f"{len(named)} domain{plural}, {', '.join(named)}" if named else "no domains"
            raise ValueError(
                f"mtl_lora: tasks is {self.tasks} but the data has {names}; each domain is a task; "
                f"set tasks to {len(domains)}"
            )
        return super().task_ids(domains)

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A, B, Λ and w."""
        adapted = self.adapted(shape)
        inputs = sum(linear.in_features for linear in adapted)
        outputs = sum(linear.out_features for linear in adapted)
        by_task = self.rank**2 + self.up_projections
        return shape.layers * (
            self.rank * (inputs + self.up_projections * outputs)
            + len(adapted) * self.tasks * by_task
        )

    def peft_config(self) -> PeftConfig:
        """Returns our ``MtlLoraConfig``."""
        from sweeper_adapters.methods.mtl_lora.tuner import MtlLoraConfig

        return MtlLoraConfig(
            r=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            num_up_projections=self.up_projections,
            temperature=self.temperature,
            num_tasks=self.tasks,
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
        """Returns training that tells the layers the task of each sample."""
        from sweeper_adapters._task_ids import TaskTraining

        return TaskTraining(model)
