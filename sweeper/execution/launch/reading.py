"""A cluster's file as it was written: which kind it is, and what stands in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper._text import shorten
from sweeper.errors import BadInputError, MissingError
from sweeper.experiment.documents.yaml_files import is_file
from sweeper.experiment.documents.yaml_text import parse_yaml

__all__ = ["ClusterFile", "NodeType", "read_cluster", "values_of"]

_NEXT = re.compile(r"^---[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class NodeType:
    """A kind of machine or pod that workers run on."""

    name: str
    machine: str
    cpus: float | None
    """CPUs of one; None where the file does not say."""
    gpus: float | None
    """GPUs of one; None where the file does not say."""
    most: int
    """Most of this kind."""


@dataclass(frozen=True)
class ClusterFile:
    """What ``ray up`` or ``kubectl apply`` is to read."""

    path: Path
    provider: str
    """``aws``, ``gcp``, ``local`` or ``kubernetes``; of another file what it says."""
    document: dict[str, Any]
    """The cluster; in Kubernetes its ``RayCluster`` or ``RayJob``."""
    others: tuple[dict[str, Any], ...] = ()
    """Other documents of the file."""

    @property
    def image(self) -> str | None:
        """Image that Ray runs in; None without a container."""
        if self.provider == "kubernetes":
            image = _container(self._ray.get("headGroupSpec")).get("image")
            return str(image) if image else None
        image = _at(self.document, "docker", "image") or _at(self.document, "docker", "head_image")
        return str(image) if image else None

    @property
    def ray_version(self) -> str | None:
        """Ray as a file for Kubernetes says it."""
        version = self._ray.get("rayVersion") if self.provider == "kubernetes" else None
        return str(version) if version else None

    @property
    def region(self) -> str:
        """Region of the cloud."""
        return str(self.section("provider").get("region") or "")

    @property
    def zones(self) -> list[str]:
        """Zones of the cloud, the one that machines are asked for first."""
        text = str(self.section("provider").get("availability_zone") or "")
        return [zone.strip() for zone in text.split(",") if zone.strip()]

    @property
    def most_workers(self) -> int | None:
        """Most workers of all kinds together; None where the file does not say."""
        most = self.document.get("max_workers")
        return most if isinstance(most, int) else None

    @property
    def _ray(self) -> dict[str, Any]:
        spec = self.section("spec")
        return _mapping(spec.get("rayClusterSpec", spec))

    def section(self, name: str) -> dict[str, Any]:
        """Returns the fields of a section; none where it is missing, or something else."""
        return _mapping(self.document.get(name))

    def node_configs(self) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """Returns each kind of machine, head included: its name, ``node_config``, ``resources``."""
        return [
            (name, _mapping(_at(node, "node_config")), _mapping(_at(node, "resources")))
            for name, node in self.section("available_node_types").items()
        ]

    def node_types(self) -> list[NodeType]:
        """Returns the kinds of workers; of a list of hosts none."""
        if self.provider == "kubernetes":
            groups = self._ray.get("workerGroupSpecs")
            return [_pod(group) for group in groups] if isinstance(groups, list) else []
        head = self.document.get("head_node_type")
        most = self.section("available_node_types")
        return [
            _machine(name, config, resources, most=_at(most[name], "max_workers"))
            for name, config, resources in self.node_configs()
            if name != head
        ]


def read_cluster(path: Path) -> ClusterFile:
    """Returns what is in a cluster's file.

    Raises:
        BadInputError: there is none, it cannot be read, or it is not YAML of mappings.
    """
    if not is_file(path):
        raise MissingError(
            f"there is no file {path}; the file of a cluster is needed; write one with "
            "'python -m sweeper launch --write aws', or name another one"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = shorten(str(error))
        raise BadInputError(
            f"{path} cannot be read ({reason}); it must be YAML in UTF-8; mend it, or write a new "
            "one with 'python -m sweeper launch --write aws'"
        ) from error
    found = [parse_yaml(part, source=str(path)) for part in _NEXT.split(text) if part.strip()]
    documents: list[dict[str, Any]] = [each for each in found if isinstance(each, dict)]
    if not documents or len(documents) < len(found):
        raise BadInputError(
            f"{path} holds something else than fields with their values; a cluster's file is one "
            "mapping, and of Kubernetes several; write one with 'python -m sweeper launch --write'"
        )
    for each in documents:
        if str(each.get("kind")) in {"RayCluster", "RayJob"}:
            others = tuple(other for other in documents if other is not each)
            return ClusterFile(path, "kubernetes", each, others)
    provider = _at(documents[0], "provider", "type")
    return ClusterFile(path, str(provider or ""), documents[0], tuple(documents[1:]))


def values_of(tree: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each single value of a tree with its dotted path."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from values_of(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from values_of(value, f"{path}.{index}")
    else:
        yield path, tree


def _at(tree: object, *path: str) -> Any:  # noqa: ANN401 - whatever stands in the file
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _machine(
    name: str, config: dict[str, Any], resources: dict[str, Any], *, most: object
) -> NodeType:
    return NodeType(
        name=name,
        machine=str(config.get("InstanceType") or config.get("machineType") or ""),
        cpus=_number(resources.get("CPU")),
        gpus=_number(resources.get("GPU", 0 if "CPU" in resources else None)),
        most=int(_number(most) or 0),
    )


def _container(group: object) -> dict[str, Any]:
    """Returns the first container of a group's pods."""
    containers = _at(group, "template", "spec", "containers")
    return _mapping(containers[0]) if isinstance(containers, list) and containers else {}


def _pod(group: object) -> NodeType:
    limits = _mapping(_at(_container(group), "resources", "limits"))
    gpus = sum(_number(value) or 0 for name, value in limits.items() if name.endswith("/gpu"))
    return NodeType(
        name=str(_at(group, "groupName")),
        machine="pod",
        cpus=_number(limits.get("cpu")),
        gpus=gpus,
        most=int(_number(_at(group, "maxReplicas")) or 0),
    )


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
