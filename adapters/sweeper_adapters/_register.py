"""The one place that makes PEFT know our methods.

``peft.utils.register_peft_method`` accepts only names in the closed enum ``PeftType``. The enum is
extended here, and nowhere else is anything of PEFT changed.
"""

from __future__ import annotations

from importlib import import_module

__all__ = ["TUNERS", "register"]

TUNERS = {
    "BSLORA": ("bslora", "Bslora"),
    "COLA": ("cola", "Cola"),
    "HDPISSA": ("hd_pissa", "HdPissa"),
    "LORAGA": ("lora_ga", "LoraGa"),
    "MASA": ("masa", "Masa"),
    "MOELORA": ("moe", "Moe"),
    "MORA": ("mora", "Mora"),
    "MOSA": ("mosa", "Mosa"),
    "MTLLORA": ("mtl_lora", "MtlLora"),
    "MULTILORA": ("multilora", "MultiLora"),
}
"""PEFT type of each tuner, its module here, and what the names of its classes begin with."""


def register() -> None:
    """Makes ``get_peft_model`` and ``PeftModel.from_pretrained`` know the tuners of this package.

    Safe to call more than once.
    """
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils import register_peft_method

    for name in TUNERS:
        _extend_peft_type(name)
    for name, (module_name, stem) in TUNERS.items():
        if name in PEFT_TYPE_TO_CONFIG_MAPPING:
            continue
        module = import_module(f"sweeper_adapters.{module_name}")
        config_cls, model_cls = getattr(module, f"{stem}Config"), getattr(module, f"{stem}Model")
        register_peft_method(
            name=name.lower(),
            config_cls=config_cls,
            model_cls=model_cls,
            prefix=model_cls.prefix,
        )


def _extend_peft_type(name: str) -> None:
    """Adds the member ``name`` to ``peft.PeftType``, an enum of strings, if it is not there."""
    from peft import PeftType

    if name in PeftType.__members__:
        return
    member = str.__new__(PeftType, name)
    member._name_ = name
    member._value_ = name
    # Enum has no public way to add a member; it keeps them in these. From Python 3.12 on a member
    # is also an attribute of its class, which cannot be set any more once it is in the map.
    setattr(PeftType, name, member)
    PeftType._member_map_[name] = member
    PeftType._value2member_map_[name] = member
    PeftType._member_names_.append(name)
