"""Prompt Tuning, and what P-Tuning has in common with it: no layer is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import AnyMethodSpec
from sweeper_adapters.methods._facts import ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["PromptSpec", "PromptTuningSpec"]


class PromptSpec(AnyMethodSpec):
    """What methods have that put trained vectors, virtual tokens, before each text."""

    size_field: ClassVar[str] = "virtual_tokens"
    start_tolerance: ClassVar[float | None] = None

    virtual_tokens: int = Field(default=20, ge=1)
    """Vectors of the model's width before each text; they take as many of its positions."""

    @property
    def is_mergeable(self) -> bool:
        """False: there is no weight to add it to."""
        return False

    @property
    def tokens_before(self) -> int:
        """The virtual tokens."""
        return self.virtual_tokens

    @property
    def is_packable(self) -> bool:
        """False: only the first example of a row would have the virtual tokens."""
        return False

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that count the virtual tokens in, and save them alone."""
        from sweeper_adapters.methods.prompt_tuning.training import PromptTraining

        del steps  # no schedule of its own
        return PromptTraining(model)

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        del shape  # any model takes any number
        yield from ()


class PromptTuningSpec(PromptSpec):
    """Prompt Tuning (arXiv:2104.08691), PEFT's: the virtual tokens themselves are trained.

    The default has the number of parameters that the MoSA paper prints (0.0012 % on Llama-2-7B).
    """

    source: ClassVar[str] = "Lester et al. 2021, arXiv:2104.08691, section 2"

    name: Literal["prompt_tuning"] = "prompt_tuning"
    """Tag of this method."""
    start: Literal["random", "vocabulary"] = "random"
    """First values: normal with standard deviation 1, or the embeddings of random tokens (section
    3.2; PEFT's default is the former)."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``virtual_tokens * width``."""
        return self.virtual_tokens * shape.hidden_size

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``PromptTuningConfig``."""
        from peft import PromptTuningConfig, PromptTuningInit

        kinds = {"random": PromptTuningInit.RANDOM, "vocabulary": PromptTuningInit.SAMPLE_VOCAB}
        return PromptTuningConfig(
            num_virtual_tokens=self.virtual_tokens,
            prompt_tuning_init=kinds[self.start],
            task_type="CAUSAL_LM",
        )
