"""All methods as specs: what a method is called, how large it is, and what PEFT makes of it.

The tagged union :data:`Method` is the registry. A method has the folder of its name: its spec, and
where they are ours its PEFT tuner and its part in training. Importing the specs imports neither
torch nor PEFT; a spec imports its tuner where an adapter is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Union, get_args

from pydantic import Discriminator, SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator

from sweeper_adapters.methods._base import AnyMethodSpec, MethodSpec
from sweeper_adapters.methods._entry_points import load_others as _load_others
from sweeper_adapters.methods._facts import EngineFacts, Linear, ModelShape
from sweeper_adapters.methods._numbers import require_numbers
from sweeper_adapters.methods._own import (
    FILE_FIELDS,
    OwnMethodError,
    identity_content,
    is_own,
    split_own,
    without_running,
)
from sweeper_adapters.methods._own import load_own as _load_own
from sweeper_adapters.methods._own import read_own as _read_own
from sweeper_adapters.methods.adalora import AdaloraSpec
from sweeper_adapters.methods.bslora import BsloraSpec
from sweeper_adapters.methods.cola import ColaSpec
from sweeper_adapters.methods.dora import DoraSpec
from sweeper_adapters.methods.hd_pissa import HdPissaSpec
from sweeper_adapters.methods.hira import HiraSpec
from sweeper_adapters.methods.hydralora import HydraLoraSpec
from sweeper_adapters.methods.lora import LoraSpec
from sweeper_adapters.methods.lora_ga import LoraGaSpec
from sweeper_adapters.methods.lora_pro import LoraProSpec
from sweeper_adapters.methods.loramoe import LoraMoeSpec
from sweeper_adapters.methods.mae import MaeSpec
from sweeper_adapters.methods.masa import MasaSpec
from sweeper_adapters.methods.masa_control import MasaControlSpec
from sweeper_adapters.methods.moelora import MoeLoraSpec
from sweeper_adapters.methods.mora import MoraSpec
from sweeper_adapters.methods.mosa import MosaSpec
from sweeper_adapters.methods.mtl_lora import MtlLoraSpec
from sweeper_adapters.methods.multilora import MultiLoraSpec
from sweeper_adapters.methods.p_tuning import PTuningSpec
from sweeper_adapters.methods.peft import PeftSpec
from sweeper_adapters.methods.pissa import PissaSpec
from sweeper_adapters.methods.prompt_tuning import PromptTuningSpec
from sweeper_adapters.methods.qlora import QloraSpec
from sweeper_adapters.methods.vblora import VbloraSpec

__all__ = [
    "FILE_FIELDS",
    "AdaloraSpec",
    "AnyMethodSpec",
    "BsloraSpec",
    "ColaSpec",
    "DoraSpec",
    "EngineFacts",
    "HdPissaSpec",
    "HiraSpec",
    "HydraLoraSpec",
    "Linear",
    "LoraGaSpec",
    "LoraMoeSpec",
    "LoraProSpec",
    "LoraSpec",
    "MaeSpec",
    "MasaControlSpec",
    "MasaSpec",
    "Method",
    "MethodSpec",
    "ModelShape",
    "MoeLoraSpec",
    "MoraSpec",
    "MosaSpec",
    "MtlLoraSpec",
    "MultiLoraSpec",
    "OwnMethodError",
    "PTuningSpec",
    "PeftSpec",
    "PissaSpec",
    "PromptTuningSpec",
    "QloraSpec",
    "VbloraSpec",
    "identity_content",
    "is_own",
    "kind_of",
    "label_of",
    "own_kind",
    "published_form",
    "reason_against",
    "require_numbers",
    "size_fields_of",
    "split_own",
    "without_running",
]


def _own_or_known(value: object, known: ValidatorFunctionWrapHandler) -> object:
    """Returns a method checked: one of a file by its class there, others by the union."""
    if isinstance(value, Mapping) and "python" in value:
        return _read_own(value, taken=_names())
    if isinstance(value, AnyMethodSpec) and is_own(type(value)):
        return value
    return known(value)


Method = Annotated[
    BsloraSpec
    | LoraSpec
    | MasaSpec
    | MasaControlSpec
    | MoraSpec
    | MosaSpec
    | MaeSpec
    | HydraLoraSpec
    | MoeLoraSpec
    | LoraMoeSpec
    | MtlLoraSpec
    | MultiLoraSpec
    | ColaSpec
    | LoraGaSpec
    | LoraProSpec
    | HdPissaSpec
    | DoraSpec
    | PissaSpec
    | QloraSpec
    | HiraSpec
    | VbloraSpec
    | AdaloraSpec
    | PromptTuningSpec
    | PTuningSpec
    | PeftSpec,
    Discriminator("name"),
    WrapValidator(_own_or_known),
    # Those of a file are no members of the union.
    SerializeAsAny(),
]
"""Any method, told apart by ``name``; those of other packages that are installed are among them,
and one of a file is told by its ``python``."""


def _kinds() -> tuple[type[AnyMethodSpec], ...]:
    """Returns the members of the union."""
    union, *_ = get_args(Method)
    kinds: tuple[type[AnyMethodSpec], ...] = get_args(union)
    return kinds


def _names() -> set[str]:
    return {str(kind.model_fields["name"].default) for kind in _kinds()}


def _join_others() -> dict[str, str]:
    """Makes the methods of other packages members of the union; returns what could not be one."""
    _, *how = get_args(Method)
    others, reasons = _load_others(_names())
    if others:
        # A type checker knows those of this package alone.
        globals()["Method"] = Annotated[(Union[(*_kinds(), *others)], *how)]
    return reasons


_REASONS = _join_others()

_FORMS: Final[Mapping[str, str]] = {
    "rslora": "{name: lora, scaling: sqrt_rank}",
    "loraplus": "{name: lora, b_learning_rate_factor: 16}",
}
"""What a published name without a method of its own is here, by its letters."""


def published_form(name: str) -> str | None:
    """Returns what to write for a published name that is a field of a method, or None.

    Args:
        name: as papers and libraries write it: ``rsLoRA``, ``LoRA+``, ``lora_plus``.
    """
    letters = name.lower().replace("+", "plus")
    return _FORMS.get("".join(letter for letter in letters if letter.isalnum()))


def reason_against(name: str) -> str | None:
    """Returns why the method that another package brings cannot be used; None where none does."""
    return _REASONS.get(name)


def kind_of(entry: object) -> type[AnyMethodSpec] | None:
    """Returns the spec class of a method as a file gives it; None where there is none.

    Args:
        entry: fields of the method, be they right or not.
    """
    if not isinstance(entry, Mapping):
        return None
    if "python" in entry:
        try:
            return own_kind(str(entry["python"]), sha256=str(entry.get("sha256") or ""))
        except ValueError:
            # Who checks the method says what is wrong with its file.
            return None
    name = entry.get("name")
    return next((kind for kind in _kinds() if kind.model_fields["name"].default == name), None)


def own_kind(python: str, *, sha256: str = "") -> type[AnyMethodSpec]:
    """Returns the spec class of a user's own that a text names, ``my_method.py:MySpec``.

    Its file is run by whoever asks first. The class has the file and its hash as fields, too.

    Args:
        python: ``FILE.py:CLASS``.
        sha256: hash that the file must have; any, as it is now, where it is empty.

    Raises:
        ValueError: there is no such file or class, it is no method, or the file cannot be run or
            has another hash.
    """
    return _load_own(python, sha256=sha256, taken=_names())


def label_of(entry: Mapping[str, object]) -> str:
    """Returns what a method of a file is called in points, records and reports."""
    if "python" in entry and "name" in entry:
        # Its file is not run to find what is there.
        return str(entry["name"])
    kind = kind_of(entry)
    return str(entry.get("name")) if kind is None else kind.label_of(entry)


def size_fields_of(entry: object) -> tuple[str, ...]:
    """Returns the fields of a method of a file that a budget sets; none if it is unknown."""
    kind = kind_of(entry)
    return kind.size_fields_of(entry) if kind is not None and isinstance(entry, Mapping) else ()
