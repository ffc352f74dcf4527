"""The files of a cluster that one template gives: their settings, and their text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sweeper._spec import Spec, reason_of
from sweeper._text import nearest, shorten
from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.execution.cluster import TRIAL_SLOTS
from sweeper.experiment.documents.yaml_text import parse_yaml
from sweeper.preflight.room import TRIAL_RESOURCE

__all__ = ["IMAGE", "SCORER", "VARIANTS", "MachineSpec", "render"]

IMAGE = "rayproject/ray:2.60.0-py311-gpu"
"""Python and Ray as the tests run with; the CUDA libraries come with torch."""
SCORER = "sweeper.execution.launch.fallback.score"
# What is replaced before a launch. The addresses are of the block that RFC 5737 keeps for examples.
_NO_AMI, _NO_HOST, _NO_NAME = "ami-00000000000000000", "192.0.2.", "replace-me"

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
_Line = Annotated[str, Field(pattern=r"^[^\n\r]+$")]
_Path = Annotated[str, Field(pattern=r"^[~/][A-Za-z0-9._/~-]*$")]
_Address = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")]
_Port = Annotated[int, Field(ge=1024, le=65535)]


class MachineSpec(Spec):
    """A kind of machine with GPUs."""

    name: _Word
    """Name of the kind, such as ``a10g``."""
    machine: _Line
    """The cloud's name of it, such as ``g5.12xlarge``."""
    cpus: int = Field(ge=1)
    """CPUs of one machine."""
    gpus: int = Field(ge=1)
    """GPUs of one machine."""
    most: int = Field(ge=1)
    """Most machines of this kind, spot and on-demand together."""


class _Common(Spec):
    name: _Word = "masa-mosa-sweeper"
    """Name of the cluster."""
    sweeps: _Path = "/mnt/sweeps"
    """Folder that all machines share: sweeps, and the Hub's cache with its token."""


class _Ray(_Common):
    """What `ray up` reads."""

    image: _Line = IMAGE
    """Docker image of head and workers."""
    setup: tuple[_Line, ...] | None = None
    """Commands that install the sweeper on a machine; where left out, from the checkout."""
    files: bool = True
    """Whether the checkout is sent to each machine."""
    port: _Port = 6379
    """Port of Ray's head, for the workers."""
    client_port: _Port = 10001
    """Port of Ray's client server, on the head's own address."""
    dashboard_port: _Port = 8265
    """Port of the dashboard, on the head's loopback address."""


class _Aws(_Ray):
    region: _Word = "us-west-2"
    """AWS region."""
    zone: _Word = "us-west-2a"
    """Availability zone: the mount target of the file system is there."""
    ami: _Line = _NO_AMI
    """Machine image with Docker and an NVIDIA driver for CUDA 13."""
    file_system: _Line = "fs-00000000000000000"
    """Id of an EFS file system in that region."""
    head: _Line = "m5.2xlarge"
    """Machine of the head."""
    spot: bool = True
    """Whether spot machines are tried first."""
    machines: tuple[MachineSpec, ...] = (
        MachineSpec(name="a10g", machine="g5.12xlarge", cpus=48, gpus=4, most=4),
        MachineSpec(name="a100", machine="p4d.24xlarge", cpus=96, gpus=8, most=2),
    )
    """Kinds of machines with GPUs."""


class _Gcp(_Ray):
    project: _Line = _NO_NAME
    """Id of the project."""
    region: _Word = "us-central1"
    """Region."""
    zone: _Word = "us-central1-a"
    """Zone."""
    source_image: _Line = (
        "projects/deeplearning-platform-release/global/images/family/"
        "common-cu129-ubuntu-2204-nvidia-580"
    )
    """Machine image with an NVIDIA driver for CUDA 13."""
    nfs: _Line = f"{_NO_HOST}1:/sweeps"
    """NFS export that all machines reach, such as Filestore's, as host:/path."""
    head: _Line = "n2-standard-8"
    """Machine of the head."""
    spot: bool = True
    """Whether workers are spot machines."""
    machines: tuple[MachineSpec, ...] = (
        MachineSpec(name="l4", machine="g2-standard-48", cpus=48, gpus=4, most=4),
        MachineSpec(name="a100", machine="a2-highgpu-8g", cpus=96, gpus=8, most=2),
    )
    """Kinds of machines with GPUs."""


class _Local(_Ray):
    head_ip: _Address = f"{_NO_HOST}10"
    """IP address of the head: Ray there takes no name."""
    worker_ips: tuple[_Line, ...] = (f"{_NO_HOST}11", f"{_NO_HOST}12")
    """Addresses of the workers."""
    ssh_user: _Line = "ubuntu"
    """User on all machines."""
    ssh_key: _Line = "~/.ssh/id_ed25519"
    """Private key of that user."""
    docker: bool = False
    """Whether Ray runs in a container of ``image``, or in ``venv``."""
    python: _Line = "python3.11"
    """Interpreter that makes the environment, without Docker."""
    venv: _Path = "~/.venvs/sweeper"
    """Environment on each machine, without Docker."""
    head_works: bool = False
    """Whether replicas may run on the head, too."""
    head_options: _Line = ""
    """More options of `ray start` on the head."""
    worker_options: _Line = ""
    """More options of `ray start` on a worker."""


class _Kubernetes(_Common):
    image: _Line = f"{_NO_NAME}/masa-mosa-sweeper:latest"
    """Image that holds the sweeper: build it from the variant ``image``."""
    ray_version: _Line = IMAGE.split(":")[1].split("-")[0]
    """Ray in that image."""
    storage_class: _Line = _NO_NAME
    """Storage class that several pods may write to (ReadWriteMany)."""
    storage: _Line = "500Gi"
    """Size of the shared volume."""
    machines: tuple[MachineSpec, ...] = (
        MachineSpec(name="gpu", machine="nvidia.com/gpu", cpus=40, gpus=4, most=4),
    )
    """Kinds of pods with GPUs; ``machine`` is the resource that a pod asks for."""
    memory: _Line = "160Gi"
    """Memory of a worker's pod."""
    spot_label: _Line = "karpenter.sh/capacity-type"
    """Label of nodes that tells spot from on-demand: Karpenter's. The values are `spot` and
    `on-demand`."""
    fallback_s: int = Field(default=1800, ge=60)
    """Seconds from the request for a spot pod to its Ray, with node and image; after them an
    on-demand pod is asked for."""


class _RayJob(_Kubernetes):
    entrypoint: _Line = "python -m sweeper run masa.yaml --profile llama3-8b --address auto"
    """The job: a sweep."""


class _Image(Spec):
    image: _Line = IMAGE
    """Image that it is made from."""


VARIANTS: dict[str, tuple[str, type[Spec]]] = {
    "aws": ("ray.yaml.j2", _Aws),
    "gcp": ("ray.yaml.j2", _Gcp),
    "local": ("ray.yaml.j2", _Local),
    "raycluster": ("kubernetes.yaml.j2", _Kubernetes),
    "rayjob": ("kubernetes.yaml.j2", _RayJob),
    "image": ("Dockerfile.j2", _Image),
}
"""What can be written: the name, its part of the template, and its settings."""

# From the top of a checkout, on a machine or in an image.
_INSTALL = (
    "pip install -c constraints.txt torch",
    "DS_BUILD_OPS=0 pip install -c constraints.txt {how}",
)


def render(variant: str, settings: Iterable[str] = ()) -> str:
    """Returns the text of a variant's file.

    Args:
        variant: a name of :data:`VARIANTS`.
        settings: ``name=value``, each value read as YAML.

    Raises:
        BadInputError: there is no such variant, or a setting does not fit; all are named.
    """
    if variant not in VARIANTS:
        known = list(VARIANTS)
        raise BadInputError(
            f"--write is {shorten(repr(variant))}; known: {', '.join(known)}"
            f"{nearest(variant, known)}; name one of them"
        )
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    file, spec = VARIANTS[variant]
    values = _read(spec, settings, variant=variant)
    # Plain text: what would be escaped in HTML must stay as it is.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template(file)
    return template.render(
        variant=variant,
        install=_INSTALL,
        scorer=SCORER,
        trial=TRIAL_RESOURCE,
        slots=TRIAL_SLOTS,
        **values.model_dump(),
    )


def _read(spec: type[Spec], settings: Iterable[str], *, variant: str) -> Spec:
    given: dict[str, Any] = {}
    problems = []
    known = list(spec.model_fields)
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or name not in known:
            said = f"got {shorten(repr(setting))}; write name=value with one of {', '.join(known)}"
            problems.append(Problem("", said + nearest(name, known)))
            continue
        given[name] = parse_yaml(text, source=f"--set {name}")
    try:
        values = spec.model_validate(given)
    except ValidationError as error:
        problems += [
            Problem(
                ".".join(map(str, details["loc"])),
                f"got {shorten(repr(details['input']))}: {reason_of(details)}; "
                f"{_meaning(spec, str(details['loc'][0]))}",
            )
            for details in error.errors(include_url=False)
        ]
    if problems:
        raise SpecError(f"--set (of {variant})", problems)
    return values


def _meaning(spec: type[Spec], name: str) -> str:
    field = spec.model_fields.get(name)
    text = " ".join((field.description or "").split()) if field else ""
    return f"meant is: {text}" if text else "see the names that there are"
