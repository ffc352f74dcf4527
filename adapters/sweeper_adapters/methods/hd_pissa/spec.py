"""HD-PiSSA: a step of the optimiser on slices of the weight's singular triplets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import MethodSpec
from sweeper_adapters.methods._facts import EngineFacts, ModelShape
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["HdPissaSpec"]


class HdPissaSpec(MethodSpec):
    """HD-PiSSA (arXiv:2505.18777): each slice of singular triplets steps on a share of the batch.

    Slice i has the triplets ``[i * rank, (i + 1) * rank)`` of W, in two factors that never change;
    Adam's steps for them, dA and dB, are taken by the weight for all slices at once:
    ``W -= sum_i (dB_i A_i + B_i dA_i - dB_i dA_i)``. In the paper a slice is a GPU. Here the number
    of slices is a parameter, trained on any number of workers with the same result; the sequences
    that all workers see at once must be a multiple of it.

    The change of W is of full rank and kept in float32 beside the frozen W on every worker, under
    any ZeRO stage: it takes twice the memory of a 16-bit W, and is what the adapter file holds,
    with the factors, so that training can go on from it.

    Departures: gradients are clipped, over all slices together, where the trial clips (the authors'
    code has no clip); it has no weight decay either, and here none acts. Their scale alpha
    multiplies gradients alone, which Adam does not see, and is left out; so is their dropout, which
    acts on the product of the factors and is 0 in their script. Large weights are decomposed by the
    faster, randomised algorithm unless ``svd_iterations`` is null.

    ``HdPissaConfig`` in a training loop that does not call the method's ``Training`` is a plain
    adapter: its moves are trained as parameters, and the weight takes up none.
    """

    source: ClassVar[str] = (
        "Wang et al. 2025, HD-PiSSA, arXiv:2505.18777, and its authors' code, "
        "github.com/MuLabPKU/HD-PiSSA, commit 3edc175"
    )
    tuner: ClassVar[Tuner | None] = Tuner("HDPISSA", folder="hd_pissa", stem="HdPissa")
    # The factors are the weight's own.
    start_depends_on_seed: ClassVar[bool] = False

    name: Literal["hd_pissa"] = "hd_pissa"
    """Tag of this method."""
    rank: int = Field(default=16, ge=1)
    """Singular triplets of each slice."""
    slices: int = Field(default=8, ge=1, le=1024)
    """Slices: the paper's number of GPUs."""
    svd_iterations: int | None = Field(default=16, ge=1, le=64)
    """Subspace iterations of the fast, randomised decomposition of large weights; ``null`` computes
    the exact one, which takes minutes on a large model. Small weights are decomposed exactly."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * slices * rank * (in + out)`` summed over the targets.

        That is what the optimiser steps. A GPU of the paper has one slice and steps
        ``rank * (in + out)`` numbers of each target.
        """
        return shape.layers * sum(
            self.slices * self.rank * (x.in_features + x.out_features) for x in self.adapted(shape)
        )

    @property
    def is_packable(self) -> bool:
        """Whether there is one slice: rows are dealt out to several."""
        return self.slices == 1

    def engine_problems(self, engine: EngineFacts) -> list[tuple[str, str]]:
        """Returns a problem where the sequences seen at once cannot be dealt out evenly."""
        at_once = engine.batch_size * engine.workers
        if at_once % self.slices == 0:
            return []
        return [
            (
                "slices",
                f"slices is {self.slices} but {engine.workers} workers with micro-batches of "
                f"{engine.batch_size} see {at_once} sequences at once; allowed is a divisor of "
                f"{at_once}; change slices or train.batch_size",
            )
        ]

    def peft_config(self) -> PeftConfig:
        """Returns our ``HdPissaConfig``."""
        from sweeper_adapters.methods.hd_pissa.tuner import HdPissaConfig

        return HdPissaConfig(
            r=self.rank,
            slices=self.slices,
            svd_iterations=self.svd_iterations,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that deal out the batch and take up the steps."""
        from sweeper_adapters.methods.hd_pissa.training import HdPissaTraining

        del steps  # no schedule of its own
        return HdPissaTraining(model, slices=self.slices)

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        for linear in self.adapted(shape):
            limit = linear.highest_rank
            if self.slices * self.rank > limit:
                field = "rank" if self.slices <= limit else "slices"
                highest = limit // self.slices if field == "rank" else limit
                yield (
                    field,
                    f"{self.slices} slices of rank {self.rank} are {self.slices * self.rank} "
                    f"singular triplets but {linear.name} is {linear.in_features} -> "
                    f"{linear.out_features} and has {limit}; {field} may be 1 to {highest}; give "
                    f"less or leave {linear.name} out of targets",
                )
