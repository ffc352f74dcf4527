"""Folders with data: the shared one, and those a test writes in the Hub's layout."""

import json

import pytest

from tests.places import SHARED


@pytest.fixture(scope="session")
def shared():
    """The folder of real, cut data beside the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"needs {SHARED}")
    return SHARED


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A data root, and a function that writes rows into it as the Hub has them."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    root = tmp_path / "root"
    root.mkdir()

    def write(name, split, rows, subset=""):
        folder = root / name / subset
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
        return root

    return write
