"""A world to launch clusters in: programs that write down how they are called, and an AWS."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

# A program that adds its arguments to a file and ends as it is told.
_PROGRAM = """#!{python}
import json, sys
with open({log!r}, "a") as file:
    file.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
print({says!r}, file=sys.stderr)
sys.exit({code})
"""


class RefusedError(Exception):
    """What a fake botocore raises."""


@dataclass
class Aws:
    """An account with its answers; a test changes them."""

    regions: tuple[str, ...] = ("eu-west-1", "us-west-2")
    zones: tuple[str, ...] = ("us-west-2a", "us-west-2b")
    images: tuple[str, ...] = ("ami-0123456789abcdef0",)
    newest: str = "ami-0123456789abcdef0"
    gpus: dict[str, int] = field(
        default_factory=lambda: {"g5.12xlarge": 4, "p4d.24xlarge": 8, "m5.2xlarge": 0}
    )
    has_credentials: bool = True
    refused: frozenset[str] = frozenset()
    """Calls that AWS refuses."""
    asked: list[str] = field(default_factory=list)

    def _answer(self, call: str, **arguments: Any) -> Any:
        self.asked.append(call)
        if call in self.refused:
            raise RefusedError(f"AccessDenied when calling {call}")
        return getattr(self, f"_{call}")(**arguments)

    def _get_caller_identity(self) -> Any:
        return {"Account": "123456789012"}

    def _describe_availability_zones(self) -> Any:
        return {"AvailabilityZones": [{"ZoneName": zone} for zone in self.zones]}

    def _describe_images(self, *, Filters: list[Any]) -> Any:
        wanted = _values(Filters, "image-id")
        return {"Images": [{"ImageId": image} for image in wanted if image in self.images]}

    def _describe_instance_types(self, *, Filters: list[Any]) -> Any:
        return {
            "InstanceTypes": [
                {"InstanceType": kind, "GpuInfo": {"Gpus": [{"Count": self.gpus[kind]}]}}
                for kind in _values(Filters, "instance-type")
                if kind in self.gpus
            ]
        }

    def _describe_instance_type_offerings(self, *, LocationType: str, Filters: list[Any]) -> Any:
        assert LocationType == "availability-zone"
        offered = set(self.gpus) if _values(Filters, "location")[0] in self.zones else set()
        wanted = _values(Filters, "instance-type")
        return {"InstanceTypeOfferings": [{"InstanceType": x} for x in wanted if x in offered]}

    def _get_parameter(self, *, Name: str) -> Any:
        assert Name.startswith("/aws/service/deeplearning/ami/")
        return {"Parameter": {"Value": self.newest}}

    def client(self, name: str) -> Any:
        aws = self

        class Client:
            def __getattr__(self, call: str) -> Any:
                return lambda **arguments: aws._answer(call, **arguments)

        return Client()

    def session(self, *, region_name: str) -> Any:
        return SimpleNamespace(
            get_credentials=lambda: object() if self.has_credentials else None,
            get_available_regions=lambda service: list(self.regions),
            client=self.client,
        )


def _values(filters: list[Any], name: str) -> list[str]:
    (values,) = [each["Values"] for each in filters if each["Name"] == name]
    return list(values)


@dataclass
class World:
    """Where a test launches: a folder like a checkout, fake programs, an AWS."""

    folder: Path
    log: Path
    aws: Aws
    programs: Path

    def program(self, name: str, *, code: int = 0, says: str = "") -> None:
        path = self.programs / name
        path.write_text(
            _PROGRAM.format(
                python=sys.executable, log=str(self.log), name=name, says=says, code=code
            )
        )
        path.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call of a program."""
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [words[1:] for words in lines if words[0] == name]


def make_world(folder: Path, patch: pytest.MonkeyPatch) -> World:
    """Returns a world in which everything is well."""
    programs = folder / "programs"
    checkout = folder / "checkout"
    programs.mkdir()
    for name in ("sweeper", "adapters", "kernels", "search_spaces"):
        (checkout / name).mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        (checkout / name).write_text("")
    world = World(checkout, folder / "calls", Aws(), programs)
    for name in ("ray", "ssh", "rsync", "kubectl"):
        world.program(name)
    (programs / "bash").symlink_to("/bin/bash")
    patch.setenv("PATH", str(programs))
    patch.chdir(checkout)
    install_boto3(world.aws, patch)
    return world


def install_boto3(aws: Aws, patch: pytest.MonkeyPatch) -> None:
    """Puts a boto3 that asks ``aws`` where the real one would be."""
    boto3, botocore, errors = (
        ModuleType(name) for name in ("boto3", "botocore", "botocore.exceptions")
    )
    boto3.session = SimpleNamespace(Session=aws.session)  # type: ignore[attr-defined]
    errors.BotoCoreError = RefusedError  # type: ignore[attr-defined]
    errors.ClientError = RefusedError  # type: ignore[attr-defined]
    botocore.exceptions = errors  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "boto3", boto3)
    patch.setitem(sys.modules, "botocore", botocore)
    patch.setitem(sys.modules, "botocore.exceptions", errors)
