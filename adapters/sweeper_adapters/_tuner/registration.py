"""The one place that makes PEFT know a method of ours.

``peft.utils.register_peft_method`` accepts only names in the closed enum ``PeftType``. The enum is
extended here, and nowhere else is anything of PEFT changed.
"""

from __future__ import annotations

from peft import PeftType
from peft.utils import register_peft_method

from sweeper_adapters._tuner.config import AdapterConfig
from sweeper_adapters._tuner.model import AdapterModel

__all__ = ["register_tuner"]


def register_tuner(config_cls: type[AdapterConfig], model_cls: type[AdapterModel]) -> None:
    """Makes ``get_peft_model`` and ``PeftModel.from_pretrained`` know a tuner.

    A module of a tuner calls it at its end, as PEFT's own do. The PEFT type is the prefix of the
    model's parameters in capitals.

    Args:
        config_cls: class of the tuner's configs.
        model_cls: class of its models.

    Raises:
        KeyError: PEFT has a method of this name.
    """
    name = model_cls.prefix.removesuffix("_")
    _extend_peft_type(name.upper())
    register_peft_method(
        name=name, config_cls=config_cls, model_cls=model_cls, prefix=model_cls.prefix
    )


def _extend_peft_type(name: str) -> None:
    """Adds the member ``name`` to ``peft.PeftType``, an enum of strings, if it is not there."""
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
