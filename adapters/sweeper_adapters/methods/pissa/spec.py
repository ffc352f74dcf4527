"""PiSSA."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods.lora.spec import LoraFamilySpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["PissaSpec"]


class PissaSpec(LoraFamilySpec):
    """PiSSA (arXiv:2404.02948), PEFT's: LoRA that starts as the principal part of W0.

    Eqs. 2 to 4 of the paper: with the singular value decomposition ``W0 = U S V'``,
    ``A = sqrt(S_r / s) V_r'`` and ``B = U_r sqrt(S_r / s)`` are trained, and the base keeps
    ``W0 - s B A``. The decomposition takes part in no file: what is saved is the LoRA of twice the
    rank with the same update of W0, ``s (B A - B_0 A_0)`` (appendix C), which loads like any other
    and changes no weights.

    The authors train with a scale of 1, alpha = rank. Here alpha is 16 where a spec does not say,
    as for every LoRA.
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

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that save it as a LoRA."""
        from sweeper_adapters.methods.pissa.training import PissaTraining

        del steps  # no schedule of its own
        return PissaTraining(model)

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig`` with PiSSA's initial values."""
        kind = "pissa" if self.iterations is None else f"pissa_niter_{self.iterations}"
        return self._lora_config(init=kind)
