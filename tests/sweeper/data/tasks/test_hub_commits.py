"""Which commit of a data set is read, where its task names a branch; the Hub is not asked."""

import pytest

from sweeper.data import TasksDataSpec
from sweeper.data.tasks import TASKS
from sweeper.errors import MissingError


def cached(root, name, branch, commit):
    """Writes what the cache of the Hub's files notes of a branch."""
    path = root / f"datasets--{name.replace('/', '--')}" / "refs" / branch
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(commit)


@pytest.mark.parametrize(
    ("name", "branch"), [("metamath", "main"), ("us_terms", "refs/convert/parquet")]
)
def test_a_branch_is_read_at_the_commit_that_the_cache_has_of_it(
    monkeypatch, tmp_path, name, branch
):
    import datasets

    asked = []

    def load_dataset(**settings):
        asked.append(settings["revision"])
        return datasets.Dataset.from_list([])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    task = TASKS[name]
    assert task.hub is not None
    prints = [task.fingerprint("train")]
    task.load("train")
    for commit in ("a" * 40, "b" * 40, "no commit"):
        cached(tmp_path, task.hub.name, branch, commit)
        prints += [task.fingerprint("train")]
        assert task.fingerprint("train") == prints[-1]
        task.load("train")
    assert asked == [branch, "a" * 40, "b" * 40, branch]
    assert len(set(prints)) == 3
    assert prints[0] == prints[3]


def test_a_known_commit_is_not_looked_up(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    before = TASKS["gsm8k"].fingerprint("train")
    cached(tmp_path, "openai/gsm8k", "main", "a" * 40)
    TASKS["gsm8k"].pin()
    assert TASKS["gsm8k"].fingerprint("train") == before


def test_a_branch_is_pinned_once(monkeypatch, tmp_path, hub):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    asked = []

    def hf_hub_download(name, file, *, repo_type, revision):
        asked.append((name, file, repo_type, revision))
        cached(tmp_path, name, revision, "a" * 40)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    task = TASKS["metamath"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    task.pin()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    task.pin(hub("meta-math/MetaMathQA", "train", []))
    assert asked == []
    TasksDataSpec(train=("metamath",), evaluate=("gsm8k",)).pin()
    task.pin()
    assert task.hub is not None
    assert asked == [("meta-math/MetaMathQA", "README.md", "dataset", "main")]
    assert task.hub.commit() == "a" * 40


def test_a_branch_that_cannot_be_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")

    def hf_hub_download(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    with pytest.raises(MissingError, match=r"MetaMathQA \(revision main\) .*no route; run: hf"):
        TASKS["metamath"].pin()
