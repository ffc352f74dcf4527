"""Examples of LoRA-Pro."""

from sweeper_adapters.methods import LoraProSpec

EXAMPLES = {
    "lora-pro": LoraProSpec(rank=4),
    "lora-pro-full": LoraProSpec(rank=4, mode="full"),
    "lora-pro-ranks": LoraProSpec(
        rank=4,
        rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 6},
    ),
}
