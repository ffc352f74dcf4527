"""AdaLoRA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, TypeGuard

from pydantic import Field

from sweeper_adapters.methods._base import MethodSpec
from sweeper_adapters.methods._facts import EngineFacts, ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

    from sweeper_adapters.training import Training

__all__ = ["AdaloraSpec"]


class AdaloraSpec(MethodSpec):
    """AdaLoRA (arXiv:2303.10512), PEFT's: ranks are given to the layers that need them.

    Eq. 3 of the paper: ``y = W0 x + alpha / initial_rank * B E A x`` with a diagonal E. Training
    begins with ``initial_rank`` for each layer. After a warm-up the entries of E that are least
    important among those of all layers (Eqs. 7 to 11) are set to zero, ever more of them (appendix
    A), until ``target_rank`` is left for each layer on average. A penalty keeps A and B orthogonal.

    It has neither ``scaling`` nor ``b_learning_rate_factor``: PEFT's layer always divides alpha by
    the rank, and what starts at zero, and LoRA+ would train faster, is E and not B.

    The penalty is PEFT's and the original code's: the mean of the norms of ``B'B - I`` and
    ``AA' - I`` over all layers, where Eq. 4 adds up their squares. The gradients that importance is
    made of are those before clipping.
    """

    source: ClassVar[str] = "Zhang et al. 2023, arXiv:2303.10512, Eqs. 3 and 6 to 11, appendix A"
    size_field: ClassVar[str] = "initial_rank"
    scale_field: ClassVar[str | None] = "alpha"
    # Before the last allocation it has more ranks than asked for.
    needs_all_steps: ClassVar[bool] = True
    learned_fields: ClassVar[frozenset[str]] = frozenset({"rank_pattern"})

    name: Literal["adalora"] = "adalora"
    """Tag of this method."""
    initial_rank: int = Field(default=12, ge=2)
    """Rank of each layer at the start; above ``target_rank``."""
    target_rank: int = Field(default=8, ge=1)
    """Mean rank of the layers at the end."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the update, divided by the initial rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps before ranks are reduced: t_i in the paper."""
    final_share: float = Field(default=0.3, ge=0, lt=1)
    """Share of the steps after ranks are reduced: t_f in the paper."""
    allocation_interval: int = Field(default=1, ge=1)
    """Steps between two allocations of ranks: ΔT in the paper."""
    beta1: float = Field(default=0.85, gt=0, lt=1)
    """Smoothing of the sensitivity (Eq. 9)."""
    beta2: float = Field(default=0.85, gt=0, lt=1)
    """Smoothing of its uncertainty (Eq. 10)."""
    orthogonality: float = Field(default=0.5, ge=0)
    """Weight of the penalty that keeps A and B orthogonal: γ in the paper."""

    @property
    def exports_lora(self) -> bool:
        """True: of the rank that is left to each layer, with E in one of the factors."""
        return True

    def engine_problems(self, engine: EngineFacts) -> list[tuple[str, str]]:
        """Returns a problem where too few steps come before the final ones."""
        steps = engine.steps
        if steps is None or steps - int(self.final_share * steps) >= 2:
            return []
        return [
            (
                "final_share",
                f"final_share {self.final_share:g} makes {int(self.final_share * steps)} of "
                f"{steps} steps final ones; at least 2 must come before, to learn what is "
                "important; train longer or lower final_share",
            )
        ]

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * initial_rank * (in + out + 1)`` summed over the targets."""
        return shape.layers * sum(
            self.initial_rank * (x.in_features + x.out_features + 1) for x in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``AdaLoraConfig``, for a training of one step.

        PEFT wants to know the steps before there is a training; :meth:`training` sets them.
        """
        from peft import AdaLoraConfig

        return AdaLoraConfig(
            init_r=self.initial_rank,
            target_r=self.target_rank,
            # PEFT divides alpha by the rank, so a fraction is right though it declares an int.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            total_step=1,
            deltaT=self.allocation_interval,
            beta1=self.beta1,
            beta2=self.beta2,
            orth_reg_weight=self.orthogonality,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def saved_shapes(
        self, shapes: Mapping[str, tuple[int, ...]], learned: Mapping[str, object]
    ) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of what is left of A, B and E, by the ``rank_pattern`` of the config.

        Raises:
            ValueError: it does not say of each layer which entries of E are left.
        """
        pattern = learned["rank_pattern"]
        if pattern is None:
            return dict(shapes)
        layers = {key.removesuffix("lora_E") for key in shapes if key.endswith(".lora_E")}
        wanted = {f"{layer.removeprefix('base_model.model.')}lora_E": layer for layer in layers}
        if not isinstance(pattern, dict) or pattern.keys() != wanted.keys():
            raise ValueError("rank_pattern names other layers than the trial's targets are")
        found = dict(shapes)
        for name, kept in pattern.items():
            if not _is_pattern(kept, rank=self.initial_rank):
                raise ValueError(
                    f"rank_pattern of {name} is not a list of {self.initial_rank} true or false, "
                    "at least one of them true"
                )
            for side, axis in (("lora_E", 0), ("lora_A", 0), ("lora_B", 1)):
                shape = list(shapes[f"{wanted[name]}{side}"])
                shape[axis] = sum(kept)
                found[f"{wanted[name]}{side}"] = tuple(shape)
        return found

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it, ready to be trained."""
        adapted = super().inject(model, seed=seed)
        for name, parameter in adapted.named_parameters():
            # The rank that the scale is divided by. Where PEFT casts the adapter of a 16-bit base
            # to float32, it makes it a trained parameter.
            if ".ranknum." in name:
                parameter.requires_grad_(False)
        return adapted

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that keep A and B orthogonal and give the ranks to the layers."""
        from sweeper_adapters.methods.adalora.training import AdaloraTraining

        return AdaloraTraining(
            model,
            steps=steps,
            warmup_steps=int(self.warmup_share * steps),
            final_steps=int(self.final_share * steps),
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.initial_rank, field="initial_rank")
        if self.target_rank >= self.initial_rank:
            yield (
                "target_rank",
                f"target_rank is {self.target_rank} but initial_rank is {self.initial_rank}; it "
                "must be less, or there is nothing to allocate; lower target_rank or use lora",
            )
        if self.warmup_share + self.final_share >= 1:
            yield (
                "final_share",
                f"warmup_share {self.warmup_share:g} and final_share {self.final_share:g} leave no "
                "steps to reduce ranks in; their sum must be below 1; lower one of them",
            )


def _is_pattern(kept: object, *, rank: int) -> TypeGuard[list[bool]]:
    return (
        isinstance(kept, list)
        and len(kept) == rank
        and all(isinstance(one, bool) for one in kept)
        and any(kept)
    )
