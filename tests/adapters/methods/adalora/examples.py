"""Examples of AdaLoRA."""

from sweeper_adapters.methods import AdaloraSpec

EXAMPLES = {
    "adalora": AdaloraSpec(initial_rank=4, target_rank=2),
}
