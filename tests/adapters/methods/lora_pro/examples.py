"""Examples of LoRA-Pro."""

from sweeper_adapters.methods import LoraProSpec

EXAMPLES = {
    "lora-pro": LoraProSpec(rank=4),
    "lora-pro-full": LoraProSpec(rank=4, mode="full"),
}
