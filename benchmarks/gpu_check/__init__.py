"""What no machine without a card can say, prepared to be run on one in less than six minutes.

``python -m benchmarks.gpu_check`` has four parts: the kernels against their references, Figure 2
and Table 11 of the MoSA paper, and a trial under ZeRO-2 with bfloat16. Each is a process of its
own, so that neither an error of the card nor a program that hangs takes another one's figures.
"""

from __future__ import annotations

__all__ = ()
