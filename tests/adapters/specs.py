"""One example and more of each method, for a LLaMA of 5 layers (see conftest.py)."""

from sweeper_adapters.methods import (
    HydraLoraSpec,
    LoraMoeSpec,
    LoraSpec,
    MaeSpec,
    MasaControlSpec,
    MasaSpec,
    Method,
    MoeLoraSpec,
    MosaSpec,
    MtlLoraSpec,
)

SPECS: dict[str, Method] = {
    "lora": LoraSpec(rank=4),
    "masa": MasaSpec(rank=4),
    "masa-b": MasaSpec(rank=4, sharing="b", group_size=3),
    "masa-both": MasaSpec(rank=4, sharing="both", group_size=4, up_projections=2),
    "masa-none": MasaSpec(rank=4, sharing="none", experts=2),
    "masa-one": MasaSpec(rank=4, experts=1, group_size=1, targets=("q_proj",)),
    "masa-router": MasaSpec(rank=4, router="softmax", up_projections=2, experts=3),
    "masa-control": MasaControlSpec(rank=4, experts=3),
    "mosa": MosaSpec(rank=4),
    "mosa-row": MosaSpec(groups=33, grouping="row"),
    "mosa-col": MosaSpec(groups=33, grouping="col"),
    "mosa-skewed": MosaSpec(groups=33, grouping="skewed", targets=("q_proj", "down_proj")),
    "mae": MaeSpec(rank=4, experts=3),
    "mae-router": MaeSpec(rank=4, experts=3, router="softmax"),
    "hydralora": HydraLoraSpec(rank=4),
    "moelora": MoeLoraSpec(rank=4, experts=3),
    "loramoe": LoraMoeSpec(rank=4, experts=4, knowledge_domains=("letter",)),
    "mtl-lora": MtlLoraSpec(rank=4),
    "mtl-lora-tasks": MtlLoraSpec(rank=4, tasks=2, targets=("q_proj", "down_proj")),
}
