"""Requests to a store's API: limited, never to our own network, and without credentials for other hosts."""

import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from requests.auth import HTTPBasicAuth

from adapter.stores.http import BearerToken, Deadline, Http, Reply, StoreTrouble
from tests.stores.hostile import HostileServer, hostile_server


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    with hostile_server() as server:
        yield server


@pytest.fixture
def http(server: HostileServer) -> Http:
    """A client whose store's settings contain the server."""
    server.seen.clear()
    return Http({server.host})


def test_a_response_is_read_exactly(http: Http, server: HostileServer) -> None:
    reply = http.get(f"{server.url}/ok", deadline=Deadline(5), params={"a": "b c"})
    assert reply.status == 200
    assert reply.json() == {"price": Decimal("19.90")}
    assert server.seen[0][0] == "/ok?a=b+c"
    assert server.seen[0][1]["user-agent"].startswith("drip-order-adapter/")


@pytest.mark.parametrize("path", ["/drip", "/slow-headers", "/silent"])
def test_a_slow_response_takes_no_longer_than_the_deadline(http: Http, server: HostileServer, path: str) -> None:
    begun = time.monotonic()
    with pytest.raises(StoreTrouble, match="didn't respond in time"):
        http.get(server.url + path, deadline=Deadline(0.5))
    assert time.monotonic() - begun < 2
    assert http.get(f"{server.url}/ok", deadline=Deadline(5)).status == 200  # and the next request is served


def test_a_failed_connection_names_the_settings() -> None:
    with pytest.raises(StoreTrouble, match=r"no connection to 127\.0\.0\.1:9 .*store_url or api_url"):
        Http({"127.0.0.1:9"}).get("http://127.0.0.1:9/", deadline=Deadline(5))


def test_an_endless_response_is_cut_off(http: Http, server: HostileServer) -> None:
    with pytest.raises(StoreTrouble, match="longer than 1000000 bytes"):
        http.get(f"{server.url}/huge", deadline=Deadline(10), most_bytes=1_000_000)


def test_no_request_is_made_without_time_left(http: Http, server: HostileServer) -> None:
    with pytest.raises(StoreTrouble, match="no time left"):
        http.get(f"{server.url}/ok", deadline=Deadline(0))
    assert server.seen == []


def test_an_html_page_is_an_error(http: Http, server: HostileServer) -> None:
    with pytest.raises(StoreTrouble, match="isn't JSON"):
        http.get(f"{server.url}/html", deadline=Deadline(5)).json()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/ok",
        "http://localhost:{port}/ok",
        "http://[::1]:{port}/ok",
        "http://[::ffff:127.0.0.1]:{port}/ok",
        "http://2130706433:{port}/ok",
        "http://0.0.0.0:{port}/ok",
        "http://10.0.0.1/ok",
        "http://192.168.1.1/ok",
        "http://172.16.0.1/ok",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/ok",
        "http://[fd00::1]/ok",
        "http://100.64.0.1/ok",
    ],
)
def test_an_address_in_our_own_network_is_never_requested(server: HostileServer, address: str) -> None:
    server.seen.clear()
    with pytest.raises(StoreTrouble, match=r"in our own network|no connection"):
        Http({"shop.example"}).get(address.format(port=server.url.rpartition(":")[2]), deadline=Deadline(3))
    assert server.seen == []


def test_a_redirect_into_our_own_network_is_not_followed() -> None:
    with hostile_server() as named, hostile_server() as inner:
        with pytest.raises(StoreTrouble, match="in our own network"):
            Http({named.host}).get(f"{named.url}/to?{inner.url}/ok", deadline=Deadline(5))
        assert len(named.seen) == 1
        assert inner.seen == []


@pytest.mark.parametrize("form", ["http://{inner}\\x@{named}/ok", "http://{inner}\\x@{named}/../ok", "http://{inner}\\x@{named}"])
def test_a_redirect_that_only_looks_like_the_stores_host_is_not_followed(form: str) -> None:
    """One parser reads the store's host with a user name, another a path on the inner host."""
    with hostile_server() as named, hostile_server() as inner:
        with pytest.raises(StoreTrouble, match="in our own network"):
            Http({named.host}).get(f"{named.url}/to?{form.format(inner=inner.host, named=named.host)}", deadline=Deadline(5))
        assert inner.seen == []
        with pytest.raises(StoreTrouble, match="in our own network"):
            Http({named.host}).get(form.format(inner=inner.host, named=named.host), deadline=Deadline(5))
        assert inner.seen == []


@pytest.mark.parametrize("target", ["http://[", "http://[::1", "http://a:b/", "http://\u2100.example/", "http://"])
def test_a_redirect_to_an_invalid_address_is_an_error(http: Http, server: HostileServer, target: str) -> None:
    with pytest.raises(StoreTrouble):
        http.get(f"{server.url}/to?{target}", deadline=Deadline(5))


def test_a_redirect_to_another_host_drops_the_credentials() -> None:
    with hostile_server() as store, hostile_server() as other:
        http = Http({store.host, other.host})
        auth = HTTPBasicAuth("ck_key", "cs_secret")
        assert http.get(f"{store.url}/to?{other.url}/ok", deadline=Deadline(5), auth=auth, headers={"X-Token": "t"}).status == 200
        assert "authorization" in store.seen[0][1]
        assert other.seen[0][1].keys().isdisjoint({"authorization", "x-token"})


def test_a_redirect_on_the_same_host_keeps_them() -> None:
    with hostile_server() as store:
        assert Http({store.host}).get(f"{store.url}/to?/ok", deadline=Deadline(5), auth=BearerToken("t0k3n")).status == 200
        assert [headers.get("authorization") for _, headers in store.seen] == ["Bearer t0k3n", "Bearer t0k3n"]


def test_a_post_is_never_redirected(http: Http, server: HostileServer) -> None:
    assert http.send("POST", f"{server.url}/to?/ok", deadline=Deadline(5), json={}, auth=BearerToken("t")).status == 302
    assert len(server.seen) == 1


def test_endless_redirects_are_stopped(http: Http, server: HostileServer) -> None:
    with pytest.raises(StoreTrouble, match="redirects too many times"):
        http.get(f"{server.url}/circle", deadline=Deadline(5))
    assert len(server.seen) == 4


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://shop.example/x", "shop.example/x", "http:///x", ""])
def test_only_http_addresses_are_requested(http: Http, address: str) -> None:
    with pytest.raises(StoreTrouble):
        http.get(address, deadline=Deadline(1))


@pytest.mark.parametrize("host", ["shop.example", "a.shop.example:8443", "example.com", "nobody.invalid"])
def test_example_names_take_no_time(host: str) -> None:
    begun = time.monotonic()
    with pytest.raises(StoreTrouble, match="an example name"):
        Http({host}).get(f"https://{host}/ok", deadline=Deadline(3))
    assert time.monotonic() - begun < 0.5


@pytest.mark.parametrize(
    ("header", "seconds"), [("2.5", 2.5), ("-1", 0), ("1e9", 3600), ("inf", 3600), ("nan", None), ("soon", None), ("", None)]
)
def test_retry_after_is_read_as_a_reasonable_wait(header: str, seconds: float | None) -> None:
    assert Reply("https://shop.example/", 429, {"Retry-After": header}, b"").wait_s == seconds


def test_a_closed_port_is_an_error() -> None:
    with hostile_server() as gone:
        pass
    with pytest.raises(StoreTrouble, match="no connection"):
        Http({gone.host}).get(f"{gone.url}/ok", deadline=Deadline(3))
