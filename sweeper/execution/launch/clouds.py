"""What a cloud says of a file before machines are asked for: credentials, region, sizes, images.

The clouds' own packages are imported when they are needed, and what is missing is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from sweeper._text import nearest, shorten
from sweeper.errors import BadInputError, MissingError, Problem
from sweeper.execution.launch.reading import ClusterFile

__all__ = ["AMI_PARAMETER", "PLACEHOLDER_AMI", "ami_command", "check_cloud", "find_ami"]

AMI_PARAMETER = (
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
)
"""Where AWS publishes the id of the newest Deep Learning Base GPU AMI of a region."""
PLACEHOLDER_AMI = "ami-00000000000000000"


def check_cloud(cluster: ClusterFile) -> Iterator[Problem]:
    """Yields what the cloud has against a file; of other providers nothing."""
    if cluster.provider == "aws":
        yield from _aws(cluster)
    elif cluster.provider == "gcp":
        yield from _gcp(cluster)


def ami_command(region: str) -> str:
    """Returns the command that prints the id of the newest suitable AMI."""
    return (
        f"aws ssm get-parameter --region {region} --name {AMI_PARAMETER} "
        "--query Parameter.Value --output text"
    )


def find_ami(region: str) -> str:
    """Returns the id of the newest suitable AMI of a region, as AWS publishes it.

    Raises:
        MissingError: boto3 is not installed, or there are no credentials.
        BadInputError: AWS does not tell.
    """
    session, problem = _session(region)
    if problem is not None:
        raise MissingError(f"--fill asks AWS for the AMI: {problem.message}")
    try:
        found = session.client("ssm").get_parameter(Name=AMI_PARAMETER)
    except _errors() as error:
        raise BadInputError(
            f"--fill: AWS does not tell the AMI of {region} ({shorten(str(error))}); the right "
            f"ssm:GetParameter is needed; run '{ami_command(region)}' as somebody who has it, and "
            "write the id into the file"
        ) from error
    return str(found["Parameter"]["Value"])


def _errors() -> tuple[type[Exception], ...]:
    errors: Any = import_module("botocore.exceptions")
    return (errors.BotoCoreError, errors.ClientError)


def _session(region: str) -> tuple[Any, Problem | None]:
    """Returns boto3's session, or why there is none."""
    try:
        boto3: Any = import_module("boto3")
    except ImportError:
        return None, Problem(
            "provider.type",
            "is aws, and boto3 is not installed here; Ray and these checks need it; "
            "pip install boto3",
        )
    try:
        session = boto3.session.Session(region_name=region)
        has_credentials = session.get_credentials() is not None
    except _errors() as error:
        return None, Problem(
            "provider", f"AWS credentials cannot be read ({shorten(str(error))}); {_LOG_IN}"
        )
    if not has_credentials:
        return None, Problem("provider", f"no AWS credentials were found; {_LOG_IN}")
    return session, None


_LOG_IN = "an account that may start machines is needed; run 'aws configure', or set AWS_PROFILE"


def _aws(cluster: ClusterFile) -> Iterator[Problem]:
    region = cluster.region
    session, problem = _session(region)
    if problem is not None:
        yield problem
        return
    known = sorted(session.get_available_regions("ec2"))
    if region not in known:
        yield Problem(
            "provider.region",
            f"got {shorten(repr(region))}; AWS has {', '.join(known)}{nearest(region, known)}; "
            "write one of them",
        )
        return
    try:
        session.client("sts").get_caller_identity()
    except _errors() as error:
        yield Problem("provider", f"AWS refuses the credentials ({shorten(str(error))}); {_LOG_IN}")
        return
    client = session.client("ec2")
    for check in (_zones, _images, _sizes, _offers):
        try:
            yield from check(client, cluster)
        except _errors() as error:
            what = (check.__doc__ or "").partition(".")[0].removeprefix("Yields ")
            yield Problem(
                "provider",
                f"AWS does not tell {what} in {region} ({shorten(str(error))}); the region must be "
                "enabled for the account, and the account may describe EC2; mend the file or ask "
                "who runs the account",
            )


def _zones(client: Any, cluster: ClusterFile) -> Iterator[Problem]:  # noqa: ANN401 - boto3's
    """Yields which zones there are."""
    known = [zone["ZoneName"] for zone in client.describe_availability_zones()["AvailabilityZones"]]
    for zone in cluster.zones:
        if zone not in known:
            yield Problem(
                "provider.availability_zone",
                f"got {zone!r}; {cluster.region} has {', '.join(known)} for this account; "
                "write one of them",
            )


def _machines(cluster: ClusterFile) -> list[str]:
    """Returns the names of all machines, each once."""
    configs = [config for _, config, _ in cluster.node_configs()]
    return sorted({str(config["InstanceType"]) for config in configs if "InstanceType" in config})


def _images(client: Any, cluster: ClusterFile) -> Iterator[Problem]:  # noqa: ANN401 - boto3's
    """Yields whether the AMI exists."""
    configs = [config for _, config, _ in cluster.node_configs()]
    wanted = {str(config["ImageId"]) for config in configs if "ImageId" in config}
    for image in sorted(wanted - {PLACEHOLDER_AMI}):
        # By a filter: asked for an id that does not exist, AWS would answer with an error.
        filters = [{"Name": "image-id", "Values": [image]}]
        if not client.describe_images(Filters=filters)["Images"]:
            yield Problem(
                "ImageId",
                f"got {image}, which {cluster.region} does not have; AMIs differ by region; print "
                f"one with '{ami_command(cluster.region)}'",
            )


def _sizes(client: Any, cluster: ClusterFile) -> Iterator[Problem]:  # noqa: ANN401 - boto3's
    """Yields how large the machines are."""
    wanted = _machines(cluster)
    filters = [{"Name": "instance-type", "Values": wanted}]
    answer = client.describe_instance_types(Filters=filters)["InstanceTypes"]
    known = {each["InstanceType"]: each for each in answer}
    for name, config, resources in cluster.node_configs():
        machine = known.get(str(config.get("InstanceType")))
        if machine is None:
            continue
        gpus = sum(gpu["Count"] for gpu in machine.get("GpuInfo", {}).get("Gpus", []))
        if resources.get("GPU", gpus) != gpus:
            yield Problem(
                f"available_node_types.{name}.resources.GPU",
                f"got {shorten(resources['GPU'])}, and a {config['InstanceType']} has {gpus}; Ray "
                f"believes what the file says; write {gpus}, or take another InstanceType",
            )


def _offers(client: Any, cluster: ClusterFile) -> Iterator[Problem]:  # noqa: ANN401 - boto3's
    """Yields which machines are offered."""
    wanted = _machines(cluster)
    if not cluster.zones:
        return
    zone = cluster.zones[0]
    filters = [
        {"Name": "location", "Values": [zone]},
        {"Name": "instance-type", "Values": wanted},
    ]
    answer = client.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=filters
    )
    offered = {each["InstanceType"] for each in answer["InstanceTypeOfferings"]}
    # A zone that there is not offers nothing, and is told already.
    for machine in wanted if offered else []:
        if machine not in offered:
            yield Problem(
                "InstanceType",
                f"got {machine}, which is not offered in {zone}; a zone must have all kinds of the "
                "file; take another zone or another kind",
            )


def _gcp(cluster: ClusterFile) -> Iterator[Problem]:
    zone, region = ", ".join(cluster.zones), cluster.region
    if not zone.startswith(f"{region}-"):
        yield Problem(
            "provider.availability_zone",
            f"got {zone!r}; a zone of region {region!r} is needed, such as '{region}-a'; write one",
        )
    for module, package in (
        ("googleapiclient", "google-api-python-client"),
        ("cryptography", "cryptography"),
        ("google.auth", "google-auth"),
    ):
        if not _has(module):
            yield Problem(
                "provider.type",
                f"is gcp, and {package} is not installed here; Ray and these checks need it; "
                f"pip install {package}",
            )
            if module == "google.auth":
                return
    auth: Any = import_module("google.auth")
    errors: Any = import_module("google.auth.exceptions")
    requests: Any = import_module("google.auth.transport.requests")
    try:
        credentials, _ = auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(requests.Request())
    except errors.GoogleAuthError as error:
        yield Problem(
            "provider",
            f"no Google credentials that work were found ({shorten(str(error))}); an account that "
            "may start machines is needed; run 'gcloud auth application-default login'",
        )


def _has(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True
