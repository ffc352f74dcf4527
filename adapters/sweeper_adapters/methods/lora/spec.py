"""LoRA, and what its relatives have in common with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from sweeper_adapters._targets import demand_modules
from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._patterned import PatternedSpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

__all__ = ["LoraFamilySpec", "LoraSpec"]


class LoraFamilySpec(PatternedSpec):
    """What LoRA and its relatives have: two matrices a layer, and a scale."""

    layers_to_transform: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None, min_length=1, exclude_if=lambda layers: layers is None
    )
    """Decoder layers that get adapters, by their indices from 0; all where ``null``."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets."""
        return self._count_factors(shape)

    def _layer_indices(self, shape: ModelShape) -> Sequence[int]:
        chosen = self._chosen_layers()
        return range(shape.layers) if chosen is None else chosen

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from super()._size_problems(shape)
        missing = [x for x in self.layers_to_transform or () if x >= shape.layers]
        if missing:
            yield (
                "layers_to_transform",
                f"layers_to_transform has {', '.join(map(str, missing))} but the model has "
                f"{shape.layers} layers; allowed is 0 to {shape.layers - 1}; take it out",
            )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig``."""
        return self._lora_config()

    def _lora_config(
        self, *, use_dora: bool = False, init: bool | str = True, modules: Sequence[str] = ()
    ) -> PeftConfig:
        from peft import LoraConfig

        config = LoraConfig(
            r=self.rank,
            # PEFT divides alpha by r, so a fraction is right though it declares an int.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            use_rslora=self.scaling == "sqrt_rank",
            lora_dropout=self.dropout,
            use_dora=use_dora,
            # It declares some of the texts that it takes.
            init_lora_weights=init,  # type: ignore[arg-type]
            target_modules=list(self.targets),
            layers_to_transform=self._chosen_layers(),
            modules_to_save=list(modules) or None,
            task_type="CAUSAL_LM",
        )
        # Set here, PEFT does not warn that it could not turn a PiSSA with them into a LoRA; its
        # own training here does.
        config.rank_pattern = dict(self.rank_pattern)
        config.alpha_pattern = dict(self.alpha_pattern)
        return config

    def _chosen_layers(self) -> list[int] | None:
        chosen = self.layers_to_transform
        return None if chosen is None else sorted(set(chosen))


class LoraSpec(LoraFamilySpec):
    """LoRA (arXiv:2106.09685), PEFT's: ``y = W0 x + alpha / rank * B A x``.

    With ``scaling: sqrt_rank`` it is rsLoRA, with a ``b_learning_rate_factor`` above 1 LoRA+; any
    method that has these fields can be trained so. The groups of LoRA+ are those of PEFT's
    ``create_loraplus_optimizer``, the trial's weight decay acts on both.
    """

    source: ClassVar[str] = "Hu et al. 2022, arXiv:2106.09685, Eq. 3"

    name: Literal["lora"] = "lora"
    """Tag of this method."""
    modules_to_save: tuple[str, ...] = Field(default=(), exclude_if=lambda modules: not modules)
    """Modules of the base that are trained whole, in copies, by the end of their names:
    ``lm_head``, ``embed_tokens``. The adapter's file has them. What they add is counted in the
    model, so that there is no budget with them."""

    @property
    def exports_lora(self) -> bool:
        """Whether nothing besides the two matrices is trained."""
        return not self.modules_to_save

    @property
    def is_counted_by_shape(self) -> bool:
        """Whether only linear layers' adapters are trained."""
        return not self.modules_to_save

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig``."""
        return self._lora_config(modules=self.modules_to_save)

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it; only the adapter's parameters require grad.

        Raises:
            ValueError: a target or a module to save is not in the model.
        """
        demand_modules(model, "modules_to_save", self.modules_to_save)
        return super().inject(model, seed=seed)
