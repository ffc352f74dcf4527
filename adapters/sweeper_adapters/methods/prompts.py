"""Prompt Tuning and P-Tuning: trained vectors before each text, and no layer changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import AnyMethodSpec, ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["PTuningSpec", "PromptSpec", "PromptTuningSpec"]


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
    def is_packable(self) -> bool:
        """False: only the first example of a row would have the virtual tokens."""
        return False

    def training(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that count the virtual tokens in, and save them alone."""
        from sweeper_adapters.peft_training import PromptTraining

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


class PTuningSpec(PromptSpec):
    """P-Tuning (arXiv:2103.10385), PEFT's: an encoder makes the virtual tokens of trained vectors.

    The encoder is trained and then thrown away: the adapter file holds what it puts out. The
    defaults have the number of parameters that the MoSA paper prints (0.7428 % on Llama-2-7B,
    0.6240 % on LLaMA3-8B). The paper's own encoder is the LSTM; its virtual tokens may stand
    anywhere in the text, PEFT's all before it.
    """

    source: ClassVar[str] = "Liu et al. 2021, arXiv:2103.10385, section 2.2"

    name: Literal["p_tuning"] = "p_tuning"
    """Tag of this method."""
    encoder: Literal["mlp", "lstm"] = "mlp"
    """Three linear layers, or a bidirectional LSTM of two layers and two linear layers."""
    encoder_size: int | None = Field(default=None, ge=1)
    """Width of the encoder; the model's where ``null``."""

    @property
    def saves_as_trained(self) -> bool:
        """False: the encoder is not saved."""
        return False

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of the vectors and of the encoder, biases included."""
        width = shape.hidden_size
        size = self.encoder_size or width
        vectors = self.virtual_tokens * width
        if self.encoder == "mlp":
            return vectors + _linear(width, size) + _linear(size, size) + _linear(size, width)
        lstm = _lstm_layer(width, size) + _lstm_layer(2 * size, size)
        return vectors + lstm + _linear(2 * size, 2 * size) + _linear(2 * size, width)

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``PromptEncoderConfig``."""
        from peft import PromptEncoderConfig

        return PromptEncoderConfig(
            num_virtual_tokens=self.virtual_tokens,
            encoder_reparameterization_type=self.encoder.upper(),
            # PEFT takes the model's width where it is None, and declares an int.
            encoder_hidden_size=self.encoder_size,  # type: ignore[arg-type]
            task_type="CAUSAL_LM",
        )


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _lstm_layer(inputs: int, size: int) -> int:
    """Returns the parameters of both directions: four gates, with two biases each."""
    return 2 * 4 * size * (inputs + size + 2)
