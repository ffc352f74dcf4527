"""Examples of VB-LoRA."""

from sweeper_adapters.methods import VbloraSpec

EXAMPLES = {
    "vblora": VbloraSpec(rank=2, vectors=6, vector_length=16),
    "vblora-top-k": VbloraSpec(rank=2, vectors=6, vector_length=8, top_k=3, saves_top_k=True),
}
