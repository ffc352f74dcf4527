"""Examples of LoRA-Pro."""

from sweeper_adapters.methods import LoraProSpec

EXAMPLES = {
    "lora-pro": LoraProSpec(rank=4),
}
