"""``ray up``, and the commands that come after it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.execution.launch.reading import ClusterFile

__all__ = ["find_ray", "next_commands", "ray_up"]

_PORT = 8265
_ADDRESS = f"http://127.0.0.1:{_PORT}"
# Where `hf auth login` keeps it.
_TOKEN = "$HOME/.cache/huggingface/token"
_PROFILE = "llama3-8b"
# As Ray calls it: the keys of hosts are not known beforehand.
_QUIET = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


def find_ray() -> str | None:
    """Returns the program ``ray``: the one on PATH, else the one beside this Python."""
    return shutil.which("ray") or shutil.which("ray", path=str(Path(sys.executable).parent))


def ray_up(cluster: ClusterFile, *, is_agreed: bool) -> None:
    """Calls ``ray up``, which asks by itself, and waits for it.

    Args:
        cluster: a file that :func:`check_cluster` has nothing against.
        is_agreed: whether Ray is told not to ask.

    Raises:
        SweeperError: Ray has not started the cluster.
    """
    command = [str(find_ray()), "up", str(cluster.path), *(["--yes"] if is_agreed else [])]
    code = subprocess.run(command, check=False).returncode
    if code:
        file = shlex.quote(str(cluster.path))
        raise SweeperError(
            f"'ray up {file}' ended with {code}; what Ray says stands above; machines may have "
            f"started: 'ray down {file}' ends them"
        )


def next_commands(cluster: ClusterFile, *, profile: str | None = None) -> list[tuple[str, str]]:
    """Returns what a user does next: what it is for, and the command.

    Args:
        cluster: the file.
        profile: of the sweep; the MASA paper's setting where None.
    """
    file = shlex.quote(str(cluster.path))
    profile = shlex.quote(profile or _PROFILE)
    if cluster.provider == "kubernetes":
        return _kubernetes(cluster, file, profile)
    own = cluster.section("metadata")
    python = Path(str(own.get("python") or "python"))
    port = own.get("dashboard_port") or _PORT
    sweeps = str(own.get("sweeps") or "/mnt/sweeps")
    # A login shell on the head has none of the environment that Ray was started with.
    pages = f"SWEEPER_HOME={sweeps} {python} -m sweeper ui"
    hub = f"HF_HOME={sweeps}/huggingface {python.with_name('hf')} auth login"
    remote = "" if port == _PORT else f" --remote-port {port}"
    return [
        ("token of the Hub, for gated models", f'ray exec {file} "{hub}"'),
        (f"dashboard, at {_ADDRESS}; leave it open", f"ray dashboard {file}{remote}"),
        ("start a sweep", _submit(profile)),
        (
            "MLflow's pages, at http://127.0.0.1:5000",
            f'ray exec {file} --port-forward 5000 "{pages}"',
        ),
        (
            "machines, and what waits for them",
            f'ray exec {file} "{python.with_name("ray")} status"',
        ),
        _end(cluster, file, python),
    ]


def _end(cluster: ClusterFile, file: str, python: Path) -> tuple[str, str]:
    down = f"ray down {file}"
    if cluster.provider != "local":
        return "end all machines; the sweeps stay", down
    if cluster.image is not None:
        return "end Ray on all machines", down
    # 'ray down' calls a plain `ray`, which is not on the PATH of the head, and no worker at all:
    # without its head a worker ends within minutes, but for Ray's log monitor, which stays.
    stop = f"{python.with_name('ray')} stop"
    # The head comes first: while it lives it starts the workers again.
    everywhere = "; ".join([stop, *_stop_workers(cluster, stop)])
    return "end Ray on all machines", f"ray exec {file} {shlex.quote(everywhere)}; {down}"


def _stop_workers(cluster: ClusterFile, stop: str) -> Iterator[str]:
    """Yields what the head runs to end Ray on the workers of a list of hosts."""
    hosts, auth = cluster.section("provider").get("worker_ips"), cluster.section("auth")
    if not isinstance(hosts, list) or not hosts:
        return
    # Where 'ray up' has put it on the head.
    key = "-i ~/ray_bootstrap_key.pem " if auth.get("ssh_private_key") else ""
    user = f"{shlex.quote(str(auth['ssh_user']))}@" if auth.get("ssh_user") else ""
    names = " ".join(shlex.quote(str(host)) for host in hosts)
    yield (f'for host in {names}; do ssh -n {key}{_QUIET} {user}$host "{stop}"; done')


def _submit(profile: str) -> str:
    # By its name, which Ray's PATH on the head leads to: Ray quotes a word with a ~, and then no
    # shell makes a folder of it.
    sweep = f"python -m sweeper run masa.yaml --profile {profile} --address auto"
    return f"ray job submit --address {_ADDRESS} --no-wait -- {sweep}"


def _kubernetes(cluster: ClusterFile, file: str, profile: str) -> list[tuple[str, str]]:
    kind = str(cluster.document.get("kind")).lower()
    name = str(cluster.section("metadata").get("name"))
    is_job = kind == "rayjob"
    status = f"$(kubectl get rayjob {name} -o jsonpath={{.status.rayClusterName}})"
    pods = f"-l ray.io/node-type=head,ray.io/cluster={status if is_job else name}"
    pod = f"$(kubectl get pod {pods} -o name)"
    commands = [
        (
            "token of the Hub, for gated models; yours, after 'hf auth login'",
            f"kubectl create secret generic huggingface --from-file=token={_TOKEN}",
        ),
        ("make it", f"kubectl apply -f {file}"),
        ("follow it", f"kubectl get {kind} {name} --watch"),
        (
            f"dashboard, at {_ADDRESS}, and MLflow's pages; leave it open",
            f"kubectl port-forward {pod} 8265 5000",
        ),
        (
            "MLflow's pages, at http://127.0.0.1:5000",
            f"kubectl exec {pod} -c head -- python -m sweeper ui",
        ),
    ]
    if is_job:
        commands.append(("what the sweep prints", f"kubectl logs -f job/{name}"))
    else:
        commands.append(("start a sweep", _submit(profile)))
    return [*commands, ("end it; the volume stays", f"kubectl delete {kind} {name}")]
