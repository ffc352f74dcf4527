"""Examples of LoRA."""

from sweeper_adapters.methods import LoraSpec

EXAMPLES = {
    "lora": LoraSpec(rank=4),
}
