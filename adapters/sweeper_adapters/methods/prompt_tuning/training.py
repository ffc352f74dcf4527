"""What methods with virtual tokens do in training: they count them in, and save them alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from sweeper_adapters.training import Training

__all__ = ["PromptTraining"]


class PromptTraining(Training):
    """Counts the virtual tokens in; saves what the encoder makes of them, and not the encoder."""

    @property
    def virtual_tokens(self) -> int:
        """Positions that the method puts before each sequence."""
        config: Any = self.model.active_peft_config
        return int(config.num_virtual_tokens)

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Puts a table of the virtual tokens in the place of the encoder while it is open.

        PEFT runs the encoder when it saves. Under ZeRO-3 all workers must run it, and one saves.
        """
        name = self.model.active_adapter
        model: Any = self.model
        config, encoder = model.peft_config[name], model.prompt_encoder[name]
        some = next(encoder.parameters())
        if some.is_meta:
            # PEFT copies them to the CPU, where parameters that are only counted cannot go.
            tokens = some.new_empty(config.num_virtual_tokens, config.token_dim)
        else:
            tokens = model.get_prompt_embedding_to_save(name)
        trained, encoder.embedding = encoder.embedding, _build_table(tokens)
        config.inference_mode = True
        try:
            yield
        finally:
            encoder.embedding = trained
            config.inference_mode = False


def _build_table(tokens: Tensor) -> nn.Embedding:
    return nn.Embedding(tokens.shape[0], tokens.shape[1], _weight=tokens)
