"""An adapter that begins with the tensors of another one, where their shapes agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.errors import TrialError
from sweeper.evaluation.adapter.checking import ADAPTER_WEIGHTS
from sweeper.tracking.owner.clones import PARENT_FILE, parent_of
from sweeper.tracking.trial_folder import TrialFolder

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["agreement", "saved_shapes", "start_from_parent"]

_Shape = Sequence[int]


def saved_shapes(adapter: Path) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of an adapter's tensors, by their keys in its file.

    Args:
        adapter: folder with PEFT's files.

    Raises:
        OSError: there is no such file.
    """
    from safetensors import safe_open

    with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118


def agreement(
    own: Mapping[str, _Shape], parents: Mapping[str, _Shape]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Returns the tensors that can be taken, and of each other one why it cannot.

    Args:
        own: shapes of the adapter that begins, by key.
        parents: those of the one that has ended.
    """
    left = {}
    for key, shape in own.items():
        other = parents.get(key)
        if other is None:
            left[key] = "the parent has none of this name"
        elif tuple(other) != tuple(shape):
            left[key] = f"it is {list(shape)}, the parent's is {list(other)}"
    return tuple(key for key in own if key not in left), left


def start_from_parent(model: PeftModel, folder: Path) -> None:
    """Gives an adapter the tensors of its parent's, where the folder is that of a clone.

    Args:
        model: with the adapter at its start, as its method makes it; whole on each worker.
        folder: of the trial; what is no clone begins as it is.

    Raises:
        TrialError: the parent's adapter is not there any more, or none of its tensors agrees.
    """
    # What a folder is that is none, the checkpoint says.
    is_clone = (folder / PARENT_FILE).is_file()
    parent = parent_of(TrialFolder(folder)) if is_clone else None
    if parent is None:
        return
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    adapter = folder.parents[1] / parent.folder / "adapter"
    try:
        found = load_file(adapter / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise TrialError(
            f"the adapter of {parent.name}, from which this clone begins, cannot be read "
            f"({error}); a clone needs it where it was; bring {adapter} back"
        ) from error
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    shapes = {key: tuple(value.shape) for key, value in found.items()}
    taken, _ = agreement({key: tuple(value.shape) for key, value in own.items()}, shapes)
    if not taken:
        raise TrialError(
            f"no tensor of this clone's adapter has the shape that it has in {parent.name}; at "
            "least one must agree; clone with fewer changes"
        )
    # The whole of it: a method that saves what layers share once reads it back as one.
    merged = {key: found[key].to(own[key].dtype) if key in taken else own[key] for key in own}
    set_peft_model_state_dict(model, merged)
