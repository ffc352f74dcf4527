"""P-Tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods.prompt_tuning.spec import PromptSpec

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["PTuningSpec", "count_prompt_encoder"]


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
        return count_prompt_encoder(
            shape.hidden_size,
            tokens=self.virtual_tokens,
            encoder=self.encoder,
            size=self.encoder_size or shape.hidden_size,
        )

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


def count_prompt_encoder(
    width: int, *, tokens: int, encoder: Literal["mlp", "lstm"], size: int, layers: int = 2
) -> int:
    """Returns the parameters of virtual tokens and of PEFT's encoder of them, biases included.

    Args:
        width: of the model.
        tokens: virtual tokens.
        encoder: ``mlp`` or ``lstm``.
        size: width of the encoder.
        layers: of the LSTM; the other encoder always has three linear layers.
    """
    vectors = tokens * width
    if encoder == "mlp":
        inner = _count_linear(width, size) + _count_linear(size, size)
        return vectors + inner + _count_linear(size, width)
    lstm = _count_lstm_layer(width, size) + (layers - 1) * _count_lstm_layer(2 * size, size)
    return vectors + lstm + _count_linear(2 * size, 2 * size) + _count_linear(2 * size, width)


def _count_linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _count_lstm_layer(inputs: int, size: int) -> int:
    """Returns the parameters of both directions: four gates, with two biases each."""
    return 2 * 4 * size * (inputs + size + 2)
