"""The command ``launch``: a cluster's file, what is wrong with it, and its start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from sweeper.cli.options import AsJson
from sweeper.cli.output import BAD_INPUT, Output, opened_output

if TYPE_CHECKING:
    from sweeper.execution.launch import ClusterFile

__all__ = ["launch"]


def launch(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A cluster's file [cluster.yaml; with --write the variant's name, .yaml]."
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check; start nothing.")] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="Profile whose replicas must find room: a name or a file."),
    ] = None,
    fill: Annotated[
        bool, typer.Option("--fill", help="Ask AWS for the newest AMI and write it into the file.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Have Ray start without asking.")] = False,
    write: Annotated[
        str | None,
        typer.Option(
            "--write",
            metavar="VARIANT",
            help="Write a file and stop: aws, gcp, local, raycluster, rayjob, or image.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="With --write, a value: --set region=eu-west-1 (may be repeated)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a cluster's file and start the cluster with Ray; then print the commands that follow.

    All that is wrong is said at once: placeholders, credentials, region, versions, the SSH key, and
    machines that are too small for --profile. Exit code 2 means that nothing was started. Ray asks
    before it starts machines that cost money.

    A file for Kubernetes is checked; kubectl starts it.
    """
    with opened_output(as_json) as out:
        from sweeper.errors import BadInputError
        from sweeper.execution.launch import next_commands, ray_up, read_cluster

        if write is not None:
            _write(write, file, settings or [], out)
            return
        if settings:
            raise BadInputError(
                f"--set {settings[0]} was given without --write; a file that is there is changed "
                "by hand; add --write VARIANT, or leave --set out"
            )
        path = file or Path("cluster.yaml")
        if fill:
            _fill(path, out)
        cluster = read_cluster(path)
        found = _require_sound(cluster, profile, out)
        if check:
            out.show(found, Text(f"Checked: nothing is wrong with {path}."))
            return
        if cluster.provider != "kubernetes":
            ray_up(cluster, is_agreed=yes)
        commands = next_commands(cluster, profile=profile)
        out.show({**found, "next": [list(each) for each in commands]}, _next(commands))


def _write(variant: str, file: Path | None, settings: list[str], out: Output) -> None:
    from sweeper.errors import BadInputError
    from sweeper.execution.launch import render

    text = render(variant, settings)
    names = {"aws": "cluster.yaml", "image": "Dockerfile"}
    path = file or Path(names.get(variant, f"{variant}.yaml"))
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise BadInputError(
            f"{path} is there already; no file is overwritten; name another one, or delete it"
        ) from error
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be written ({error.strerror or error}); a file needs room and a folder "
            "that can be written; name another one"
        ) from error
    out.show({"file": str(path)}, Text(f"Wrote {path}."))


def _fill(path: Path, out: Output) -> None:
    from sweeper._files import write_text
    from sweeper.execution.launch import PLACEHOLDER_AMI, find_ami, read_cluster

    cluster = read_cluster(path)
    text = path.read_text(encoding="utf-8")
    if cluster.provider != "aws" or PLACEHOLDER_AMI not in text:
        out.console.print(f"--fill: {path} has no AMI to look up.", soft_wrap=True)
        return
    image = find_ami(cluster.region)
    write_text(path, text.replace(PLACEHOLDER_AMI, image))
    out.console.print(
        f"{path}: ImageId is now {image}, the newest that AWS names for {cluster.region}."
    )


def _require_sound(cluster: ClusterFile, profile: str | None, out: Output) -> dict[str, Any]:
    """Returns what was found, and stops where it keeps the cluster from starting."""
    from sweeper.errors import SpecError
    from sweeper.execution.launch import check_cluster

    with out.waiting(f"checking {cluster.path}"):
        checked = check_cluster(cluster, profile=profile)
    found = {"file": str(cluster.path), "provider": cluster.provider, **checked.document()}
    if out.as_json and checked.problems:
        out.show(found, Text())
        raise typer.Exit(BAD_INPUT)
    for note in checked.notes:
        out.console.print(f"note: {note}", highlight=False, soft_wrap=True)
    if checked.problems:
        raise SpecError(str(cluster.path), checked.problems)
    return found


def _next(commands: list[tuple[str, str]]) -> Group:
    lines = ["Next:"]
    for purpose, command in commands:
        lines += [f"  # {purpose}", f"  {command}"]
    return Group(*(Text(line, no_wrap=True, overflow="ignore") for line in lines))
