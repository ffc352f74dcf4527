"""A cluster's file becomes a document, or a message."""

from __future__ import annotations

import pytest

from sweeper.errors import BadInputError, MissingError, SpecError
from sweeper.execution.launch.reading import read_cluster, values_of
from sweeper.execution.launch.variants import IMAGE, render


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "cluster.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


@pytest.mark.parametrize("variant", ["aws", "gcp", "local"])
def test_ours_are_read(variant, write):
    cluster = read_cluster(write(render(variant)))
    assert cluster.provider == variant
    assert cluster.image == (None if variant == "local" else IMAGE)
    kinds = {node.name: (node.cpus, node.gpus, node.most) for node in cluster.node_types()}
    expected = {
        "aws": {
            "a10g-spot": (48, 4, 4),
            "a10g-on-demand": (48, 4, 4),
            "a100-spot": (96, 8, 2),
            "a100-on-demand": (96, 8, 2),
        },
        "gcp": {"l4": (48, 4, 4), "a100": (96, 8, 2)},
        "local": {},
    }
    assert kinds == expected[variant]


@pytest.mark.parametrize("variant", ["raycluster", "rayjob"])
def test_those_for_kubernetes_are_read(variant, write):
    cluster = read_cluster(write(render(variant, ["image=mine:1"])))
    assert (cluster.provider, cluster.image, cluster.ray_version) == (
        "kubernetes",
        "mine:1",
        "2.60.0",
    )
    assert [(node.name, node.gpus) for node in cluster.node_types()] == [
        ("gpu-spot", 4),
        ("gpu-on-demand", 4),
    ]
    assert [other["kind"] for other in cluster.others] == ["PersistentVolumeClaim"]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MissingError, match=r"no file .*none\.yaml; .*--write aws"):
        read_cluster(tmp_path / "none.yaml")
    with pytest.raises(MissingError, match="no file"):
        read_cluster(tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (b"\xff\xfe", BadInputError, "cannot be read .*YAML in UTF-8"),
        ("", BadInputError, "holds something else than fields"),
        ("- a\n", BadInputError, "holds something else than fields"),
        ("a: 1\n---\n- b\n", BadInputError, "holds something else than fields"),
        ("a: [1\n", SpecError, "cluster.yaml"),
        ("a: !!python/object:os.system {}\n", SpecError, "cluster.yaml"),
    ],
)
def test_what_is_no_cluster(write, text, error, match):
    with pytest.raises(error, match=match):
        read_cluster(write(text))


@pytest.mark.parametrize(
    "text",
    [
        "cluster_name: x\n",
        "provider: aws\n",
        "provider: {type: [1]}\navailable_node_types: {a: null}\n",
        "kind: RayCluster\nspec: 3\n",
        "kind: RayJob\nspec: {rayClusterSpec: {workerGroupSpecs: [{}]}}\n",
    ],
)
def test_a_strange_document_is_still_read(write, text):
    cluster = read_cluster(write(text))
    assert (cluster.image, cluster.most_workers) == (None, None)
    assert all(node.most == 0 for node in cluster.node_types())


def test_values_have_their_paths():
    tree = {"a": [{"b": 1}, "x"], "c": None}
    assert list(values_of(tree)) == [("a.0.b", 1), ("a.1", "x"), ("c", None)]
