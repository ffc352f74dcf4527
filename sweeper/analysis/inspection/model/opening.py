"""A trial's base with its adapter in it, for as long as it is looked into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sweeper_adapters
from sweeper.analysis.inspection.asked import InspectionRequest, chosen_layers
from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import BadInputError
from sweeper.evaluation.adapter import AdaptedModel, hold_base_of, require_domains, with_adapter
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase

if TYPE_CHECKING:
    from sweeper_adapters import AdaptedLayer

__all__ = ["OpenTrial", "key_of_a", "open_trial"]


@dataclass(frozen=True, eq=False)
class OpenTrial:
    """A trained trial that can be asked."""

    trial: TrialSpec
    base: FrozenBase
    adapted: AdaptedModel

    def layers(self, asked: InspectionRequest) -> tuple[AdaptedLayer, ...]:
        """Returns the layers that are looked into, in the model's order.

        Raises:
            BadInputError: the method adapts no layers, or none of those that are asked for.
        """
        try:
            found = sweeper_adapters.adapted_layers(self.adapted.model)
        except ValueError as error:
            raise BadInputError(
                f"{asked.kind}: {self.trial.method.label}: {error}; --conflict works for it, too"
            ) from error
        return chosen_layers(found, asked)


@contextmanager
def open_trial(
    found: FoundTrial, asked: InspectionRequest, *, reads_data: bool
) -> Iterator[OpenTrial]:
    """Holds a trial open.

    Args:
        found: the trial.
        asked: says the device.
        reads_data: whether rows are needed; data that is not is not read.

    Raises:
        BadInputError: the trial has no adapter, or its files are damaged; the model, the data or
            the device is not there.
    """
    trial, adapter = found.spec(), found.adapter()
    _require_device(asked.device)
    trial.model.require_available()
    needs_data = reads_data or trial.method.needs_task_ids
    base = hold_base_of(trial, reads_data=needs_data, device=asked.device)
    if needs_data:
        require_domains(trial, base)
    with with_adapter(trial, base, adapter) as adapted:
        yield OpenTrial(trial, base, adapted)


def key_of_a(layer: AdaptedLayer) -> str:
    """Returns a hash of a layer's matrices A, the same of layers that share them; empty without."""
    downs = layer.downs()
    if not downs:
        return ""
    found = hashlib.sha256()
    for name, matrix in downs.items():
        found.update(f"{name}{tuple(matrix.shape)}".encode())
        found.update(matrix.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _require_device(device: str | None) -> None:
    import torch

    if device is None or device == "cpu":
        return
    count = torch.cuda.device_count()
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{number}" for number in range(count))]
    if device not in known:
        raise BadInputError(
            f"device: got {device!r}; this machine has {', '.join(known)}; give one of them, or "
            "leave --device out"
        )
