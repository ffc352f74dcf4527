"""Kernels for GPUs, and the functions that launch them: tensors in, tensors out, no autograd.

Nothing here is imported before it is needed, as importing triton takes a while. With
``TRITON_INTERPRET=1`` in the environment, before triton is imported, all of it runs on a CPU.

There is no autotuning: the sizes of blocks are constants, chosen so that nothing spills when
compiled for sm_80 and sm_90, and so that loads are as wide as the layout allows.
"""

__all__ = ()
