"""Whether a profile's replicas find room on a cluster's machines."""

from __future__ import annotations

import pytest

from sweeper.errors import SpecError
from sweeper.execution.launch.fitting import problems_of_fit, unknown_sizes
from sweeper.execution.launch.reading import read_cluster
from sweeper.execution.launch.variants import render

ONE = "machines=[{{name: one, machine: g5.xlarge, cpus: {cpus}, gpus: {gpus}, most: {most}}}]"


@pytest.fixture
def cluster(tmp_path):
    def _cluster(variant, *settings, change=("", "")):
        path = tmp_path / "file.yaml"
        path.write_text(render(variant, settings).replace(*change))
        return read_cluster(path)

    return _cluster


def messages(cluster, profile="llama3-8b"):
    return [str(each) for each in problems_of_fit(cluster, profile)]


@pytest.mark.parametrize("variant", ["aws", "gcp", "raycluster", "rayjob"])
def test_ours_hold_the_paper_s_setting(variant, cluster):
    # Two workers, each with 8 CPUs and a GPU.
    assert messages(cluster(variant)) == []


def test_a_machine_that_is_too_small(cluster):
    found = cluster("aws", ONE.format(cpus=4, gpus=1, most=2), "spot=false")
    (message,) = messages(found)
    assert "takes 8 CPUs and 1 GPUs" in message
    assert "one: 4 CPUs, 1 GPUs, 2 at most" in message


def test_too_few_machines(cluster):
    found = cluster("aws", ONE.format(cpus=8, gpus=1, most=1), "spot=false")
    (message,) = messages(found)
    assert "has 2 workers" in message
    assert "room for 1;" in message
    # A replica may have its workers on several machines.
    assert messages(cluster("aws", ONE.format(cpus=8, gpus=1, most=2), "spot=false")) == []


def test_twins_share_the_cap_of_all(cluster):
    # One machine, spot or on-demand: together they are not two.
    (message,) = messages(cluster("aws", ONE.format(cpus=8, gpus=1, most=1)))
    assert "room for 1;" in message


def test_a_profile_of_cpus_fits_where_there_are_cpus(cluster):
    assert messages(cluster("aws"), "embedded") == []


def test_hosts_are_not_known(cluster):
    hosts = cluster("local")
    assert messages(hosts) == []
    assert "not known before Ray runs there" in str(unknown_sizes(hosts))


def test_a_file_that_does_not_say_its_sizes(cluster):
    silent = cluster("aws", change=('resources: {"CPU": 48, "GPU": 4}', "resources: {}"))
    assert messages(silent) == []
    assert "a10g-spot, a10g-on-demand: the file does not say" in str(unknown_sizes(silent))
    assert unknown_sizes(cluster("aws")) is None


def test_an_unknown_profile(cluster):
    with pytest.raises(SpecError, match=r"no profile 'llama9'; known: .*llama3-8b"):
        messages(cluster("aws"), "llama9")


def test_a_profile_that_is_wrong(cluster, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("resources: {workers: 0}\n")
    (message,) = messages(cluster("aws"), str(path))
    assert message.startswith("resources.workers: got 0")
