"""Examples of LoRA."""

from sweeper_adapters.methods import LoraSpec

EXAMPLES = {
    "lora": LoraSpec(rank=4),
    # rsLoRA and LoRA+ in one.
    "lora-plus": LoraSpec(rank=4, scaling="sqrt_rank", b_learning_rate_factor=16),
    "lora-layers": LoraSpec(rank=4, layers_to_transform=(0, 2)),
}
