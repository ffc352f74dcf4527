"""What libraries of others do at import, made quiet and quick; and what they raise in Rust."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

__all__ = ["ignore_known_warnings", "load_deepspeed", "load_progress_bars", "writing"]

# How Rust tells an error of the system in the text of any other one.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def load_deepspeed() -> ModuleType:
    """Returns the module ``deepspeed``, imported for this machine and quiet on standard output.

    The one place for what its import needs (each measured with DeepSpeed 0.19.8):

    * ``DS_ACCELERATOR=cpu`` where there is no CUDA; it would find that out by itself, with noise.
    * MLflow is out of its sight while it is imported: DeepSpeed's autotuner, which nothing here
      uses, takes it if it can, and that costs 2.4 of the import's 3.3 seconds.
    * On the CPU, its table of compatible operators is set to "none" before it is first asked for.
      Filling it starts compilers, and with gloo the answer would be to compile a shared-memory
      collective at the first trial. We use none of these operators.
    * Its logger writes to standard output, which belongs to the user; it goes to standard error.
    """
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    with _hidden("mlflow"):
        deepspeed = importlib.import_module("deepspeed")
    if not torch.cuda.is_available():
        deepspeed.ops.__compatible_ops__ = {}
    log = logging.getLogger("DeepSpeed")
    log.setLevel(logging.ERROR)
    for handler in log.handlers:
        # Its own, and not what pytest adds to each logger.
        if type(handler) is logging.StreamHandler:
            # What it wrote to before may be closed, and cannot be flushed.
            with contextlib.suppress(ValueError):
                handler.flush()
            handler.stream = sys.stderr
    return deepspeed


def load_progress_bars() -> None:
    """Imports tqdm's progress bars without the advice that they give in a notebook.

    Optuna imports them. Without ipywidgets, which nothing here needs, they ask for it in a warning,
    beneath the cell that happened to import them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("tqdm.auto")


@contextlib.contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Makes a package that nobody has imported yet look as if it were not installed."""
    if name in sys.modules:
        yield
        return
    # What Python itself documents for "this import must fail" (reference, section 5.3.1).
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def ignore_known_warnings() -> None:
    """Silences what DeepSpeed and PEFT provoke by themselves and no user can act on."""
    for message, category in (
        # DeepSpeed 0.19 names collectives as before torch 2.13.
        (r"`torch\.distributed\.(all_gather_into|reduce_scatter)_tensor` is dep", FutureWarning),
        # PEFT 0.21 asks transformers 5.23 for a property by its old name.
        ("`is_gradient_checkpointing` is deprecated", FutureWarning),
        # A tied layer in modules_to_save is a copy of its own, and stays one in a merged model:
        # that is what was asked for.
        (r"Model has `tie_word_embeddings=True` and a tied layer is part", UserWarning),
        (r"Input and output embeddings are no longer tied after merging", UserWarning),
        # PEFT 0.21 saves AdaLoRA's ranks by parameter, and looks for them by layer, too.
        (r"The following rank_pattern keys .*\.lora_E'", RuntimeWarning),
    ):
        warnings.filterwarnings("ignore", message=message, category=category)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Turns what safetensors and tokenizers raise where they cannot write into an OSError.

    Theirs is none, so that a full disk would pass whoever is prepared for one.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
