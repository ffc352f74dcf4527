"""LoRA and what PEFT makes of it by a flag: DoRA and PiSSA."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import LowRankSpec, ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["DoraSpec", "LoraFamilySpec", "LoraSpec", "PissaSpec"]


class LoraFamilySpec(LowRankSpec):
    """What LoRA and its relatives have: two matrices a layer, and a scale."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets."""
        return shape.layers * sum(
            self.rank * (x.in_features + x.out_features) for x in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig``."""
        return self._lora_config()

    def _lora_config(self, *, use_dora: bool = False, init: bool | str = True) -> PeftConfig:
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            # PEFT divides alpha by r, so a fraction is right though it declares an int.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            use_dora=use_dora,
            # It declares some of the texts that it takes.
            init_lora_weights=init,  # type: ignore[arg-type]
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )


class LoraSpec(LoraFamilySpec):
    """LoRA (arXiv:2106.09685), PEFT's: ``y = W0 x + alpha / rank * B A x``."""

    source: ClassVar[str] = "Hu et al. 2022, arXiv:2106.09685, Eq. 3"

    name: Literal["lora"] = "lora"
    """Tag of this method."""

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True


class DoraSpec(LoraFamilySpec):
    """DoRA (arXiv:2402.09353), PEFT's: the rows of W0 + s B A are given trained lengths m.

    Eq. 5 of the paper: ``y = m / |W0 + s B A| * (W0 + s B A) x``, with the length |.| of each row
    of the weight (an output), which starts as m and is a constant in the backward pass (section
    4.3). With dropout PEFT multiplies W0 with the dropped inputs too, as the original does. On a
    16-bit base it rounds the first lengths to 16 bit, and training starts off by that.
    """

    source: ClassVar[str] = "Liu et al. 2024, arXiv:2402.09353, Eq. 5 and section 4.3"

    name: Literal["dora"] = "dora"
    """Tag of this method."""

    def count(self, shape: ModelShape) -> int:
        """Returns LoRA's parameters and one length for each output of a target."""
        lengths = shape.layers * sum(x.out_features for x in self.adapted(shape))
        return super().count(shape) + lengths

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig`` with ``use_dora``."""
        return self._lora_config(use_dora=True)


class PissaSpec(LoraFamilySpec):
    """PiSSA (arXiv:2404.02948), PEFT's: LoRA that starts as the principal part of W0.

    Eqs. 2 to 4 of the paper: with the singular value decomposition ``W0 = U S V'``,
    ``A = sqrt(S_r / s) V_r'`` and ``B = U_r sqrt(S_r / s)`` are trained, and the base keeps
    ``W0 - s B A``. The decomposition takes part in no file: what is saved is the LoRA of twice the
    rank with the same update of W0, ``s (B A - B_0 A_0)`` (appendix C), which loads like any other
    and changes no weights.
    """

    source: ClassVar[str] = "Meng et al. 2024, arXiv:2404.02948, Eqs. 2 to 4 and appendix C"
    # The base's weights are split in two and rounded.
    start_tolerance: ClassVar[float | None] = 1e-5
    changes_base: ClassVar[bool] = True

    name: Literal["pissa"] = "pissa"
    """Tag of this method."""
    iterations: int | None = Field(default=16, ge=1, le=64)
    """Subspace iterations of the fast, randomised decomposition; ``null`` computes the exact one,
    which takes minutes on a large model."""

    @property
    def exports_lora(self) -> bool:
        """True: of twice the rank, and saved as that."""
        return True

    @property
    def saves_as_trained(self) -> bool:
        """False: it is saved as that LoRA."""
        return False

    def training(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that save it as a LoRA."""
        from sweeper_adapters.peft_training import PissaTraining

        del steps  # no schedule of its own
        return PissaTraining(model)

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig`` with PiSSA's initial values."""
        kind = "pissa" if self.iterations is None else f"pissa_niter_{self.iterations}"
        return self._lora_config(init=kind)
