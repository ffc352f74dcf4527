"""What AWS and Google say of a file, by stubs of their packages."""

from __future__ import annotations

import re
import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sweeper.errors import BadInputError, MissingError
from sweeper.execution.launch.clouds import AMI_PARAMETER, check_cloud, find_ami
from sweeper.execution.launch.reading import read_cluster
from sweeper.execution.launch.variants import render
from tests.sweeper import launching

AWS = ("ami=ami-0123456789abcdef0", "file_system=fs-0123456789abcdef0")


@pytest.fixture
def aws(monkeypatch):
    account = launching.Aws()
    launching.install_boto3(account, monkeypatch)
    return account


@pytest.fixture
def found(tmp_path):
    def _found(variant, *settings):
        path = tmp_path / "file.yaml"
        path.write_text(render(variant, settings))
        return {each.path: each.message for each in check_cloud(read_cluster(path))}

    return _found


def test_nothing_of_a_cloud_is_imported_before_it_is_asked():
    code = (
        "import sys, sweeper.execution.launch, sweeper.cli.commands.launch;"
        "print([x for x in sys.modules if x.split('.')[0] in ('boto3', 'botocore', 'google.auth',"
        " 'googleapiclient')])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.strip() == "[]"


def test_an_account_in_which_all_is_well(aws, found):
    assert found("aws", *AWS) == {}
    assert aws.asked[0] == "get_caller_identity"
    assert len(aws.asked) == 5


def test_other_providers_are_not_asked(aws, found):
    assert found("local") == {}
    assert aws.asked == []


def test_boto3_is_missing(monkeypatch, found):
    for name in ("boto3", "botocore", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    assert re.search(
        r"boto3 is not installed here; .*pip install boto3", found("aws")["provider.type"]
    )
    with pytest.raises(MissingError, match="pip install boto3"):
        find_ami("us-west-2")


def test_no_credentials(aws, found):
    aws.has_credentials = False
    assert "no AWS credentials were found" in found("aws")["provider"]
    assert aws.asked == []


def test_credentials_that_aws_refuses(aws, found):
    aws.refused = frozenset({"get_caller_identity"})
    assert re.search(
        r"refuses the credentials \(AccessDenied.*aws configure", found("aws")["provider"]
    )


def test_a_region_that_there_is_not(aws, found):
    message = found("aws", *AWS, "region=us-wset-2")["provider.region"]
    assert re.search(
        r"'us-wset-2'; AWS has eu-west-1, us-west-2; did you mean 'us-west-2'", message
    )


def test_a_zone_of_another_region(aws, found):
    message = found("aws", *AWS, "zone=eu-west-1a")["provider.availability_zone"]
    assert "'eu-west-1a'; us-west-2 has us-west-2a, us-west-2b" in message


def test_a_zone_that_there_is_not_hides_nothing_and_repeats_nothing(aws, found):
    answers = found("aws", *AWS, "zone=us-west-2z")
    assert list(answers) == ["provider.availability_zone"]


def test_an_image_of_another_region(aws, found):
    aws.images = ()
    message = found("aws", *AWS)["ImageId"]
    assert re.search(r"ami-0123456789abcdef0, which us-west-2 does not have; .*aws ssm", message)


def test_a_machine_with_fewer_gpus_than_the_file_says(aws, found):
    aws.gpus["g5.12xlarge"] = 2
    message = found("aws", *AWS)["available_node_types.a10g-spot.resources.GPU"]
    assert "got 4, and a g5.12xlarge has 2" in message


def test_a_machine_that_the_zone_does_not_offer(aws, found):
    del aws.gpus["p4d.24xlarge"]
    assert "p4d.24xlarge, which is not offered in us-west-2a" in found("aws", *AWS)["InstanceType"]


def test_a_question_that_is_refused_hides_no_other(aws, found):
    aws.refused = frozenset({"describe_instance_types"})
    aws.images = ()
    answers = found("aws", *AWS)
    assert "AWS does not tell how large the machines are in us-west-2" in answers["provider"]
    assert "ImageId" in answers


def test_the_newest_ami(aws):
    assert find_ami("us-west-2") == aws.newest
    aws.refused = frozenset({"get_parameter"})
    with pytest.raises(BadInputError, match=rf"ssm:GetParameter is needed; .*{AMI_PARAMETER}"):
        find_ami("us-west-2")


class NoLoginError(Exception):
    """What a fake google.auth raises."""


@pytest.fixture
def google(monkeypatch):
    """Google's packages; a test says what asking for credentials does."""
    state = SimpleNamespace(error=None)

    def default(scopes):
        return SimpleNamespace(refresh=lambda request: refresh()), "a-project"

    def refresh():
        if state.error:
            raise state.error

    names = ("google.auth", "google.auth.exceptions", "google.auth.transport.requests")
    made: dict[str, Any] = {
        name: ModuleType(name) for name in (*names, "googleapiclient", "cryptography")
    }
    made["google.auth"].default = default
    made["google.auth.exceptions"].GoogleAuthError = NoLoginError
    made["google.auth.transport.requests"].Request = object
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return state


def test_google_credentials(google, found):
    assert found("gcp") == {}
    google.error = NoLoginError("reauthentication is needed")
    message = found("gcp")["provider"]
    assert re.search(r"reauthentication is needed.*gcloud auth application-default login", message)


def test_google_s_zone_is_of_its_region(google, found):
    assert (
        "a zone of region 'europe-west4'"
        in found("gcp", "region=europe-west4")["provider.availability_zone"]
    )


def test_google_s_packages_are_missing(google, monkeypatch, found):
    monkeypatch.setitem(sys.modules, "googleapiclient", None)
    assert "pip install google-api-python-client" in found("gcp")["provider.type"]
