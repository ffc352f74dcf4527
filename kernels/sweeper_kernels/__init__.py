"""Operations of the adapters: each with a readable reference and the function that is used.

Letters of tensor shapes, here and wherever tensors are documented:

====== ==========================
letter meaning
====== ==========================
B      batch
T      tokens
I      in-features
O      out-features
R      rank
K      groups of a tessellation
N      weights of a matrix, O * I
====== ==========================
"""

from __future__ import annotations

from sweeper_kernels.backend import Backend, choose, using
from sweeper_kernels.group_index import group_index
from sweeper_kernels.masa_linear import (
    add_low_rank,
    masa_gate,
    masa_linear,
    masa_linear_reference,
)
from sweeper_kernels.matrix_product import take_onednn, torch_products
from sweeper_kernels.mosa_linear import mosa_linear, mosa_linear_reference
from sweeper_kernels.segment_sum import segment_sum, segment_sum_reference
from sweeper_kernels.tessellation import Strategy, Tessellation, group_index_reference

__all__ = [
    "Backend",
    "Strategy",
    "Tessellation",
    "add_low_rank",
    "choose",
    "group_index",
    "group_index_reference",
    "masa_gate",
    "masa_linear",
    "masa_linear_reference",
    "mosa_linear",
    "mosa_linear_reference",
    "segment_sum",
    "segment_sum_reference",
    "take_onednn",
    "torch_products",
    "using",
]
