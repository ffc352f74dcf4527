"""Examples of LoRA."""

from sweeper_adapters.methods import LoraSpec

EXAMPLES = {
    "lora": LoraSpec(rank=4),
    # rsLoRA and LoRA+ in one.
    "lora-plus": LoraSpec(rank=4, scaling="sqrt_rank", b_learning_rate_factor=16),
    "lora-layers": LoraSpec(rank=4, layers_to_transform=(0, 2)),
    "lora-ranks": LoraSpec(
        rank=4,
        rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 6},
        alpha_pattern={"[kq]_proj": 5},
    ),
}
