"""Examples of HydraLoRA."""

from sweeper_adapters.methods import HydraLoraSpec

EXAMPLES = {
    "hydralora": HydraLoraSpec(rank=4),
}
