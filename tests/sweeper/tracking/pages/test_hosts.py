"""Where pages are served, and the names under which a browser may ask for them."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.pages.hosts import Place


@pytest.fixture
def machine(monkeypatch):
    addresses = [
        SimpleNamespace(family=socket.AF_INET, address="10.0.0.7"),
        SimpleNamespace(family=socket.AF_INET, address="127.0.0.1"),
        SimpleNamespace(family=socket.AF_INET6, address="fe80::1%eth0"),
    ]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": addresses})
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu1")
    monkeypatch.setattr(socket, "getfqdn", lambda: "gpu1.example")


def test_this_machine_alone_keeps_the_servers_own_rule():
    place = Place()
    assert place.url == "http://127.0.0.1:5000"
    assert (place.other_urls, place.allowed_hosts(), place.allowed_origins()) == ((), (), ())


def test_all_addresses_are_known_by_their_names(machine):
    place = Place("0.0.0.0")
    assert place.url == "http://127.0.0.1:5000"
    assert place.other_urls == (
        "http://gpu1:5000",
        "http://gpu1.example:5000",
        "http://10.0.0.7:5000",
        "http://[fe80::1]:5000",
    )
    # A browser sends the port with the name.
    assert {"gpu1", "gpu1:5000", "10.0.0.7:5000", "localhost:5000"} <= set(place.allowed_hosts())
    # A page may write to the server that it is from.
    assert {"http://gpu1:5000", "https://gpu1.example"} <= set(place.allowed_origins())


def test_one_address_is_known_by_that_one_and_the_names(machine):
    place = Place("10.0.0.7", 80)
    assert place.url == "http://10.0.0.7:80"
    assert place.other_urls == ("http://gpu1:80", "http://gpu1.example:80")


def test_given_names_replace_the_machines_own(machine):
    place = Place("0.0.0.0", 5000, ("ml.example", "proxy:8443"))
    assert place.allowed_hosts() == (
        *("ml.example", "ml.example:5000", "proxy:8443"),
        *("127.0.0.1", "127.0.0.1:5000", "localhost", "localhost:5000"),
    )
    assert place.other_urls == ("http://ml.example:5000", "http://proxy:8443")


def test_any_name_is_any_origin():
    place = Place("0.0.0.0", 5000, ("*",))
    assert "*" in place.allowed_hosts()
    assert place.allowed_origins() == ("*",)
    assert place.other_urls == ()


def test_a_host_that_is_not_here_is_refused():
    # Of the range for documentation, which no machine has.
    with pytest.raises(
        BadInputError, match=r"host: got '192\.0\.2\.1', which is no address of this"
    ):
        Place("192.0.2.1", 5000).require_free()


def test_a_free_port_is_free():
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        with pytest.raises(BadInputError, match=r"which another program uses on 127\.0\.0\.1"):
            Place(port=port).require_free()
    Place(port=port).require_free()
