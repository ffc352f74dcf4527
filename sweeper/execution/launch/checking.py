"""All that can be known of a cluster's file before ``ray up`` is called."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweeper._text import nearest, shorten
from sweeper.errors import Problem
from sweeper.execution.launch.clouds import ami_command, check_cloud
from sweeper.execution.launch.fitting import problems_of_fit, unknown_sizes
from sweeper.execution.launch.reading import ClusterFile, values_of
from sweeper.execution.launch.starting import find_ray

__all__ = ["Checked", "check_cluster"]

_KNOWN = ["aws", "gcp", "local"]
_TAG = re.compile(r":(\d+\.\d+\.\d+)[^-]*-py(\d)(\d+)")
# As Ray calls it, and without a question: a password cannot be typed for it either.
_SSH = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR"),
)
# Exit code of ssh where the host has not run anything (ssh(1)); any other is the command's own.
_SSH_FAILED = 255
# A placeholder, and what is needed in its place.
_PLACEHOLDERS = (
    (re.compile(r"\bami-0{8,17}\b"), "an AMI with Docker and an NVIDIA driver for CUDA 13"),
    (re.compile(r"\bfs-0{8,17}\b"), "the id of an EFS file system"),
    (re.compile(r"(?<![\d.])192\.0\.2\.\d{1,3}\b"), "the address of a machine"),
    (re.compile(r"\breplace-me\b"), "a name of your own"),
)


@dataclass(frozen=True)
class Checked:
    """What was found."""

    problems: tuple[Problem, ...]
    """What keeps the cluster from starting."""
    notes: tuple[str, ...]
    """What does not, and what could not be checked."""

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        problems = [{"path": each.path, "message": each.message} for each in self.problems]
        return {"problems": problems, "notes": list(self.notes)}


def check_cluster(cluster: ClusterFile, *, profile: str | None = None) -> Checked:
    """Returns all that is wrong with a cluster's file, at once.

    Nothing is started. AWS and Google are asked where the file is for them.

    Args:
        cluster: the file.
        profile: name or file of a profile whose replicas must find room.

    Raises:
        SpecError: there is no such profile.
    """
    problems = [*_kind(cluster), *_schema(cluster), *_placeholders(cluster)]
    problems += [*_versions(cluster), *_regions(cluster), *_key(cluster), *_mounts(cluster)]
    problems += [*_programs(cluster), *_head(cluster)]
    problems += check_cloud(cluster)
    notes = [*_notes(cluster)]
    if profile is not None:
        problems += problems_of_fit(cluster, profile)
        note = unknown_sizes(cluster)
        notes += [note] if note else []
    return Checked(tuple(problems), tuple(notes))


def _kind(cluster: ClusterFile) -> Iterator[Problem]:
    if cluster.provider not in {*_KNOWN, "kubernetes"}:
        yield Problem(
            "provider.type",
            f"got {shorten(repr(cluster.provider))}; known: {', '.join(_KNOWN)}"
            f"{nearest(cluster.provider, _KNOWN)}; write one of them, or call 'ray up' yourself",
        )
    if cluster.provider == "local":
        provider = cluster.section("provider")
        for name in ("head_ip", "worker_ips"):
            if not provider.get(name) and name not in provider:
                yield Problem(
                    f"provider.{name}",
                    "is missing; head_ip is an address, worker_ips a list of them; write it",
                )


def _schema(cluster: ClusterFile) -> Iterator[Problem]:
    """Yields what Ray's own schema has against the file."""
    if cluster.provider == "kubernetes":
        return
    import jsonschema
    import ray.autoscaler

    schema = json.loads(Path(ray.autoscaler.__file__).with_name("ray-schema.json").read_bytes())
    for error in jsonschema.Draft7Validator(schema).iter_errors(cluster.document):
        yield Problem(
            ".".join(map(str, error.absolute_path)),
            f"{shorten(error.message)}; Ray's schema of cluster files refuses it; correct it",
        )


def _placeholders(cluster: ClusterFile) -> Iterator[Problem]:
    # An anchor repeats what it names, and so do addresses: each is said once, a name at each place.
    seen: set[str] = set()
    for document in (cluster.document, *cluster.others):
        for path, value in values_of(document):
            for form, needed in _PLACEHOLDERS:
                found = form.search(value) if isinstance(value, str) else None
                if found is None or found[0] in seen:
                    continue
                seen |= {found[0]} - {"replace-me"}
                advice = _advice(found[0], cluster.region)
                yield Problem(path, f"{found[0]} is a placeholder; {needed} is needed; {advice}")


def _advice(placeholder: str, region: str) -> str:
    if placeholder.startswith("ami-"):
        return f"add --fill, or print one with '{ami_command(region)}'"
    if placeholder.startswith("fs-"):
        return (
            f"print yours with 'aws efs describe-file-systems --region {region} --output text "
            '--query "FileSystems[].[FileSystemId,Name]"\''
        )
    return "write it there, or write the file anew with --set"


def _versions(cluster: ClusterFile) -> Iterator[Problem]:
    tag = _TAG.search(cluster.image or "")
    there = tag[1] if tag else cluster.ray_version
    here = importlib.metadata.version("ray")
    if there is not None and there != here:
        place = "docker.image" if cluster.provider != "kubernetes" else "rayVersion"
        yield Problem(
            place,
            f"is Ray {there}, and Ray here is {here}; both sides must have the same; take an image "
            f"of Ray {here}, or pip install 'ray[default]=={there}'",
        )


def _regions(cluster: ClusterFile) -> Iterator[Problem]:
    for path, value in values_of(cluster.document):
        found = re.search(r"\.efs\.([a-z0-9-]+)\.amazonaws", str(value))
        if found and found[1] != cluster.region:
            yield Problem(
                path,
                f"has a file system of {found[1]}, and the machines are in {cluster.region}; a "
                "machine mounts one of its own region; write one region in both places",
            )


def _notes(cluster: ClusterFile) -> Iterator[str]:
    image = cluster.image
    tag = _TAG.search(image or "")
    if image is None:
        yield "without a container nobody checks which Ray and Python the hosts have"
    elif tag is None:
        yield f"the tag of {image} does not say which Ray and Python are in it: not checked"
    elif (tag[2], tag[3]) != platform.python_version_tuple()[:2]:
        yield (
            f"Python is {tag[2]}.{tag[3]} in the image and {platform.python_version()} here: "
            "'ray up' and 'ray job submit' do, Ray's client (ray://) does not"
        )


def _key(cluster: ClusterFile) -> Iterator[Problem]:
    name = cluster.section("auth").get("ssh_private_key")
    if not isinstance(name, str):
        return
    path = Path(name).expanduser()
    if not path.is_file():
        yield Problem(
            "auth.ssh_private_key",
            f"got {name}, and there is no such file; a private key that the machines accept is "
            f"needed; make one with 'ssh-keygen -t ed25519 -f {name}' and 'ssh-copy-id'",
        )
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        yield Problem(
            "auth.ssh_private_key",
            f"got {name}, which others may read (mode {mode}); ssh refuses such a key; "
            f"chmod 600 {name}",
        )
    if cluster.provider == "aws":
        for node, config, _ in cluster.node_configs():
            if "KeyName" not in config:
                yield Problem(
                    f"available_node_types.{node}.node_config.KeyName",
                    "is missing; with a key of your own Ray needs its name at AWS; write it, or "
                    "take ssh_private_key out: then Ray makes a key",
                )


def _mounts(cluster: ClusterFile) -> Iterator[Problem]:
    missing = [
        str(local)
        for local in cluster.section("file_mounts").values()
        if not Path(str(local)).expanduser().exists()
    ]
    if missing:
        yield Problem(
            "file_mounts",
            f"{', '.join(missing)} cannot be sent: it is not in {Path.cwd()}; they are parts of "
            "the checkout; call this from the top of the checkout",
        )


def _programs(cluster: ClusterFile) -> Iterator[Problem]:
    if cluster.provider == "kubernetes":
        needed = {"kubectl": "install kubectl"}
    else:
        needed = {"ssh": "install openssh-client", "rsync": "install rsync"}
        if find_ray() is None:
            yield Problem(
                "", "there is no program 'ray'; it starts the cluster; pip install 'ray[default]'"
            )
    for name, fix in needed.items():
        if shutil.which(name) is None:
            yield Problem("", f"there is no program '{name}' on PATH; it is needed; {fix}")


def _head(cluster: ClusterFile) -> Iterator[Problem]:
    """Yields why Ray cannot reach the head of a list of hosts, or send files there."""
    provider, auth = cluster.section("provider"), cluster.section("auth")
    if cluster.provider != "local" or not shutil.which("ssh"):
        return
    host = str(provider.get("external_head_ip") or provider.get("head_ip") or "")
    if not host or any(form.search(host) for form, _ in _PLACEHOLDERS):
        return
    key, user = auth.get("ssh_private_key"), auth.get("ssh_user")
    command = ["ssh", *(["-i", str(Path(str(key)).expanduser())] if key else []), *_SSH]
    target = f"{user}@{host}" if user else host
    asked = [*command, target, "command -v rsync"]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    if ended.returncode == _SSH_FAILED:
        lines = ended.stderr.strip().splitlines()
        yield Problem(
            "provider.head_ip",
            f"ssh does not reach {target} ({shorten(lines[-1] if lines else 'no reason given')}); "
            "it must let this key in without a question; mend auth, the address, or the host",
        )
    elif ended.returncode:
        yield Problem(
            "provider.head_ip",
            f"there is no program 'rsync' on {target}; Ray sends files with it, also from there to "
            "the workers; install rsync on all machines",
        )
