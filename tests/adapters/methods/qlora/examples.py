"""Examples of QLoRA."""

from sweeper_adapters.methods import QloraSpec

EXAMPLES = {
    "qlora": QloraSpec(rank=4),
    "qlora-fp4": QloraSpec(rank=4, quantisation="fp4", double_quantisation=False),
}
