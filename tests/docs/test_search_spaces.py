"""YAML in documents: whole search spaces and profiles load, fragments are of known keys."""

from pathlib import Path

import pytest
import yaml

from sweeper_docs.project import SPACE_KEYS, SweepSpec, load_sweep
from tests.docs.documents import DOCUMENTS, ROOT, Block, blocks

BLOCKS = [x for path in DOCUMENTS for x in blocks(path) if x.language == "yaml"]
KEYS = {*SPACE_KEYS, *SweepSpec.model_fields, "extends"}


def is_whole(content: object) -> bool:
    return (
        isinstance(content, dict) and "name" in content and bool({"methods", "trials"} & {*content})
    )


def is_profile(content: object) -> bool:
    return isinstance(content, dict) and bool({"model", "data"} & {*content})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the packaged profiles, in which a page may have its own."""
    folder = tmp_path / "search_spaces"
    (folder / "profiles").mkdir(parents=True)
    for path in (ROOT / "search_spaces" / "profiles").glob("*.yaml"):
        (folder / "profiles" / path.name).write_bytes(path.read_bytes())
    return folder


def own_profiles(block: Block) -> list[dict[str, object]]:
    """The profiles that the block's document makes."""
    contents = [yaml.safe_load(x.text) for x in BLOCKS if x.document == block.document]
    return [content for content in contents if is_profile(content) and "methods" not in content]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_yaml_is_a_search_space_or_a_part_of_one(block: Block, checkout: Path):
    content = yaml.safe_load(block.text)
    if block.mark("shows"):
        return
    if isinstance(content, dict):
        assert set(content) <= KEYS, block.where
    if not is_whole(content):
        return
    for profile in own_profiles(block):
        if "name" in profile:
            path = checkout / "profiles" / f"{profile['name']}.yaml"
            path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    for beside in blocks(ROOT / block.document):
        if beside.language == "python" and beside.title:
            (checkout / beside.title).write_text(beside.text, encoding="utf-8")
    path = checkout / "space.yaml"
    path.write_text(block.text, encoding="utf-8")
    assert load_sweep(path).spec.name == content["name"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_a_profile_loads(block: Block, checkout: Path):
    content = yaml.safe_load(block.text)
    if not is_profile(content) or is_whole(content) or "name" not in content:
        return
    (checkout / "profiles" / f"{content['name']}.yaml").write_text(block.text, encoding="utf-8")
    space = checkout / "masa.yaml"
    space.write_bytes((ROOT / "search_spaces" / "masa.yaml").read_bytes())
    assert load_sweep(space, profile=content["name"]).spec.profile == content["name"]
