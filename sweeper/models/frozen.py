"""The frozen base model that a replica holds once, with the data of its trials."""

from __future__ import annotations

import atexit
import gc
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sweeper._third_party import load_deepspeed
from sweeper.data.examples import Splits
from sweeper.data.prepared import PreparedData
from sweeper.data.tokens.packing import require_packable
from sweeper.distributed import control_group
from sweeper.models.inspection import require_causal

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sweeper.data import DataSpec
    from sweeper.models import ModelSpec
    from sweeper.models.snapshot import ModelSnapshot

__all__ = ["FrozenBase", "hold_base", "load_base"]


@dataclass(eq=False)
class FrozenBase:
    """A frozen model with its data: what the trials of a replica have in common."""

    model_spec: ModelSpec
    precision: str
    """``fp32``, ``bf16`` or ``fp16``: the dtype of the weights."""
    model: PreTrainedModel
    data: PreparedData
    device: torch.device
    control: ProcessGroup | None = None
    """Group of all workers in which no trial communicates; None where there is only one."""
    _is_packable: bool = False

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The model's tokenizer."""
        return self.data.tokenizer

    @property
    def pad_id(self) -> int:
        """Token that fills up shorter rows of a batch; masked, so any would do."""
        return int(self.tokenizer.pad_token_id)

    def require_packable(self) -> None:
        """Checks, once, that the model keeps the examples of a packed row apart.

        Raises:
            DataError: it does not.
        """
        if not self._is_packable:
            require_packable(self.model)
            self._is_packable = True

    def put_back(self, snapshot: ModelSnapshot) -> None:
        """Makes the model what it was, and gives the memory back that an adapter took.

        Args:
            snapshot: of the model before the adapter. Under ZeRO-3 all workers must call this.
        """
        import torch

        snapshot.restore()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def hold_base(
    model: ModelSpec,
    data: DataSpec,
    *,
    precision: str,
    device: torch.device | str,
    control: ProcessGroup | None = None,
    metrics: Sequence[str] = (),
    reads_data: bool = True,
) -> FrozenBase:
    """Returns the frozen model on its device, and its data; nothing is encoded yet.

    On a CPU the process multiplies from then on by what is fastest there
    (:func:`sweeper_kernels.take_onednn`), whatever it computes: so training, evaluation and export
    of a base give the same numbers.

    Args:
        model: where the weights come from.
        data: where the examples come from.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: where the model lives.
        control: group of all workers in which no trial communicates.
        metrics: names of those that score data that is not made of tasks.
        reads_data: whether the data is read; else it has no rows and no domains, and need not be
            there.

    Raises:
        BadInputError: the model or the data is not there, or cannot be read, or the model is not
            causal.
    """
    import torch

    from sweeper_kernels import take_onednn

    if torch.device(device).type == "cpu":
        take_onednn()
    loaded = model.load(precision)
    # Moves it in place; transformers types the method as if it were not one.
    torch.nn.Module.to(loaded.model, torch.device(device))
    require_causal(loaded.model, subject="the loaded model")
    tokenizer = loaded.tokenizer
    none = PreparedData(data, Splits((), (), ()), "", tokenizer)
    return FrozenBase(
        model_spec=model,
        precision=precision,
        model=loaded.model,
        data=PreparedData.read(data, tokenizer, metrics=metrics) if reads_data else none,
        device=torch.device(device),
        control=control,
    )


def load_base(
    model: ModelSpec,
    data: DataSpec,
    *,
    precision: str,
    max_length: int,
    device: torch.device | str,
    metrics: Sequence[str] = (),
) -> FrozenBase:
    """Returns the frozen base of a replica, with its training data as token ids.

    Everything that exists when it returns is taken out of the garbage collector's sight
    (``gc.freeze``): a replica collects after each trial, and walking through all of torch and
    transformers would cost a good part of what a trial may cost besides its steps.

    Args:
        model: where the weights come from.
        data: where the examples come from.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        max_length: length that the trials train with; another one is encoded when it is asked for.
        device: where the model lives.
        metrics: as in :func:`hold_base`.

    Raises:
        MissingError: the model or the data is not there.
        DataError: a split is empty.
    """
    # PEFT imports it where it is installed; it would tell each user of a CPU with AVX512-BF16 that
    # it has no kernel from the Hub.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    import peft  # noqa: F401 - so that the first trial need not wait for it

    load_deepspeed()
    base = hold_base(
        model,
        data,
        precision=precision,
        device=device,
        control=control_group(),
        metrics=metrics,
    )
    base.data.require_rows()
    base.data.train_tokens(max_length)
    gc.collect()
    gc.freeze()
    # At its end the interpreter wants to collect all of it after all.
    atexit.register(gc.unfreeze)
    return base
