"""The sandbox, over real HTTP on loopback."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import requests

from adapter.sandbox import create_sandbox, running_sandbox
from adapter.sandbox.state import Log, State
from tests.support.contract_example import EXAMPLE

# Set by hand from the contract's table: "Required."
REQUIRED = ("provider", "action", "order_id", "order_url")
REQUIRED_OF_ITEM = ("product_id", "name", "price", "product_url", "image_url")
ABSENT = object()
TOKEN = ("token", "")


class Client:
    """A client of the sandbox: the adapter's requests, and a test's."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(
        self, document: Any, *, account: str = "1", path: str = "order", headers: dict[str, str] | None = None, **options: Any
    ) -> requests.Response:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = {"Content-Type": "application/json"} | (headers or {})
        sent: dict[str, Any] = {"auth": TOKEN, "timeout": 10, "allow_redirects": False} | options
        return requests.post(f"{self.url}/v3/{account}/shopper_activity/{path}", data=body, headers=headers, **sent)

    def post_batch(self, *orders: Any, **options: Any) -> requests.Response:
        return self.post({"orders": orders}, path="order/batch", **options)

    def get(self, path: str, **query: Any) -> Any:
        answer = requests.get(self.url + path, params=query, timeout=10)
        assert answer.status_code == 200
        return json.loads(answer.content, parse_float=Decimal)

    def received(self, **query: Any) -> list[Any]:
        return list(self.get("/received", **query)["orders"])

    def requests(self, **query: Any) -> list[Any]:
        return list(self.get("/requests", **query)["requests"])

    def tell(self, **rule: Any) -> None:
        answer = requests.put(f"{self.url}/answers", json=rule, timeout=10)
        assert answer.status_code == 200, answer.text

    def delete(self, path: str) -> None:
        assert requests.delete(self.url + path, timeout=10).status_code == 204

    def wait_for(self, there: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 10
        while not there():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@contextmanager
def client_of(**options: Any) -> Iterator[Client]:
    with running_sandbox(**options) as sandbox:
        yield Client(sandbox.url)


@pytest.fixture
def client() -> Iterator[Client]:
    with client_of() as client:
        yield client


def example(**changes: Any) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(EXAMPLE) | changes
    return {key: value for key, value in order.items() if value is not ABSENT}


def with_item(**changes: Any) -> dict[str, Any]:
    item = {key: value for key, value in (example()["items"][0] | changes).items() if value is not ABSENT}
    return example(items=[item])


def refused(answer: requests.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert all(error["message"].startswith(error["attribute"]) for error in errors)
    return [(error["code"], error["attribute"]) for error in errors]


def dropped(post: Callable[[], Any]) -> bool:
    try:
        post()
    except requests.ConnectionError:
        return True
    return False


# The contract


def test_the_contracts_own_example_is_accepted_and_kept_with_its_digits(client: Client) -> None:
    answer = client.post(EXAMPLE, headers={"User-Agent": "Your App Name (www.yourapp.com)"})
    assert (answer.status_code, list(answer.json())) == (202, ["request_id"])
    assert answer.headers["Content-Type"] == "application/json"
    [received] = client.received()
    assert received["order"] == json.loads(EXAMPLE, parse_float=Decimal)
    assert (received["index"], received["account"], received["kind"]) == (0, "1", "single")
    assert received["request_id"] == answer.json()["request_id"]
    assert received["received_at"].endswith("Z")
    assert b'"total_taxes":1.00,' in requests.get(f"{client.url}/received", timeout=10).content


def test_drips_current_actions_are_accepted_and_others_are_refused(client: Client) -> None:
    home = {"first_name": "Ada", "address_1": "1 Quay Road", "country": "US"}
    told = {"action": "refunded", "refund_amount": 12.5, "initial_status": "unsubscribed", "billing_address": home}
    assert client.post(example(**told)).status_code == 202
    [received] = client.received()
    assert {key: received["order"][key] for key in told} == told
    broken = {**told, "refund_amount": -1, "billing_address": {"street": "1 Quay Road"}}
    assert sorted(refused(client.post(example(**broken)))) == [("format_error", "billing_address"), ("range_error", "refund_amount")]


@pytest.mark.parametrize("key", REQUIRED)
@pytest.mark.parametrize("value", [ABSENT, None, ""])
def test_a_missing_required_key_is_reported(client: Client, key: str, value: Any) -> None:
    assert refused(client.post(example(**{key: value}))) == [("presence_error", key)]
    assert client.received() == []


@pytest.mark.parametrize("key", REQUIRED_OF_ITEM)
@pytest.mark.parametrize("value", [ABSENT, None])
def test_a_missing_required_key_of_an_item_is_reported(client: Client, key: str, value: Any) -> None:
    assert refused(client.post(with_item(**{key: value}))) == [("presence_error", f"items.0.{key}")]


def test_every_other_key_may_be_left_out(client: Client) -> None:
    item = {key: value for key, value in example()["items"][0].items() if key in REQUIRED_OF_ITEM}
    order = {key: value for key, value in example().items() if key in (*REQUIRED, "email")}
    assert client.post(order | {"items": [item]}).status_code == 202
    assert client.post(order).status_code == 202


def test_a_person_is_an_email_or_a_person_id(client: Client) -> None:
    assert client.post(example(email=ABSENT, person_id="p1")).status_code == 202
    assert refused(client.post(example(email=ABSENT))) == [("presence_error", "email")]
    assert refused(client.post(example(email=""))) == [("presence_error", "email")]


@pytest.mark.parametrize(
    ("document", "code", "attribute"),
    [
        (example(email="nobody"), "email_error", "email"),
        (example(order_url="/orders/1"), "url_error", "order_url"),
        (example(occurred_at="yesterday"), "time_error", "occurred_at"),
        (example(action="cancelled"), "format_error", "action"),
        (example(provider="My Store"), "format_error", "provider"),
        (example(order_id=456445746), "format_error", "order_id"),
        (example(grand_total="19.99"), "format_error", "grand_total"),
        (example(currency="EURO"), "format_error", "currency"),
        (example(order_public_id="5" * 256), "length_error", "order_public_id"),
        (example(items={}), "format_error", "items"),
        (example(items=[5]), "format_error", "items.0"),
        (with_item(price=-1), "range_error", "items.0.price"),
        (with_item(categories="Accessories"), "format_error", "items.0.categories"),
        (with_item(image_url="picture.png"), "url_error", "items.0.image_url"),
    ],
)
def test_each_violation_has_drips_code_and_the_attribute(client: Client, document: Any, code: str, attribute: str) -> None:
    assert refused(client.post(document)) == [(code, attribute)]


def test_all_violations_are_reported_at_once(client: Client) -> None:
    order = example(provider=ABSENT, occurred_at="soon", items=[{}])
    assert set(refused(client.post(order))) == {
        ("presence_error", "provider"),
        ("time_error", "occurred_at"),
        *(("presence_error", f"items.0.{key}") for key in REQUIRED_OF_ITEM),
    }


def test_duplicates_are_accepted_and_visible(client: Client) -> None:
    assert {client.post(EXAMPLE).status_code for _ in range(3)} == {202}
    assert [row["order"]["action"] for row in client.received(order_id="456445746")] == ["created"] * 3


# The batch


@pytest.mark.slow
def test_a_batch_is_answered_in_order(client: Client) -> None:
    answer = client.post_batch(*(example(order_id=str(number)) for number in range(1000)))
    assert answer.status_code == 202
    received = client.received()
    assert [row["request_id"] for row in received] == answer.json()["request_ids"]
    assert [row["order"]["order_id"] for row in received] == [str(number) for number in range(1000)]
    assert len(set(answer.json()["request_ids"])) == 1000
    assert {row["kind"] for row in received} == {"batch"}


def test_a_batch_with_a_bad_order_is_refused_whole(client: Client) -> None:
    orders = [example(order_id=str(number)) for number in range(5)]
    orders[3]["email"] = "nobody"
    orders[4]["items"][0].pop("name")
    errors = refused(client.post_batch(*orders))
    assert errors[0] == ("email_error", "orders.3.email")
    assert errors[-1] == ("presence_error", "orders.4.items.0.name")
    assert {attribute for _, attribute in errors} == {"orders.3.email", "orders.4.items.0.name"}
    assert client.received() == []


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "presence_error"),
        ({"orders": None}, "presence_error"),
        ({"orders": {}}, "format_error"),
        ({"orders": []}, "length_error"),
        ({"orders": [0] * 1001}, "length_error"),
    ],
)
def test_a_batch_holds_1_to_1000_orders(client: Client, document: Any, code: str) -> None:
    assert refused(client.post(document, path="order/batch")) == [(code, "orders")]


def test_an_entry_of_a_batch_is_an_object(client: Client) -> None:
    assert refused(client.post_batch(example(), 5)) == [("format_error", "orders.1")]


# Credentials, form, addresses


@pytest.mark.parametrize("path", ["order", "order/batch"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Basic", "Basic Og==", "Basic !", "Basic IDp4", "Bearer", "Bearer  ", "Token abc", "B\xe4rer x"]
)
def test_no_credentials_is_401(client: Client, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = client.post(EXAMPLE, path=path, headers=headers, auth=None)
    assert answer.status_code == 401
    assert answer.json() == {"errors": [{"code": "authentication_error", "message": "Authentication failed, check your credentials"}]}
    assert client.received() == []
    assert client.requests()[0]["auth"] is None


@pytest.mark.parametrize(("authorization", "scheme"), [("Basic dG9rZW46", "basic"), ("Bearer a=b==", "bearer"), ("bearer abc", "bearer")])
def test_both_authentications(client: Client, authorization: str, scheme: str) -> None:
    assert client.post(EXAMPLE, headers={"Authorization": authorization}, auth=None).status_code == 202
    listing = requests.get(f"{client.url}/requests", timeout=10)
    assert listing.json()["requests"][0]["auth"] == scheme
    assert authorization.split()[1] not in listing.text
    assert "token" not in listing.text


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", EXAMPLE),
        ("application/x-www-form-urlencoded", EXAMPLE),
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b'{"provider": NaN}'),
        ("application/json", b"\xff"),
        ("application/json", b'{"a":' * 90_000),
        ("application/json", b'{"deep":' + b"[" * 120 + b"]" * 120 + b"}"),
    ],
)
def test_a_body_that_is_not_json_is_400(client: Client, content_type: str, body: bytes) -> None:
    answer = client.post(body, headers={"Content-Type": content_type})
    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (400, ["format_error"])
    assert "X-RateLimit-Remaining" in answer.headers


def test_a_charset_in_the_content_type_is_accepted(client: Client) -> None:
    assert client.post(EXAMPLE, headers={"Content-Type": "application/json; charset=utf-8"}).status_code == 202


def test_a_body_that_is_not_an_object_is_422(client: Client) -> None:
    assert client.post([example()]).status_code == 422


def test_custom_attributes_are_kept_whatever_they_are(client: Client) -> None:
    odd = (
        b',"custom":{"n":1e400,"big":123456789012345678901234567890,"text":"\xe2\x82\xac \\ud83d\\ude00","deep":'
        + b"[" * 90
        + b"]" * 90
        + b"}}"
    )
    assert client.post(EXAMPLE[:-1] + odd).status_code == 202
    custom = client.received()[0]["order"]["custom"]
    assert (custom["n"], custom["big"], custom["text"]) == (Decimal("1e400"), 123456789012345678901234567890, "€ 😀")
    assert requests.get(client.url, timeout=10).status_code == 200


def test_a_body_over_10_mb_is_413(client: Client) -> None:
    padded = EXAMPLE + b" " * (10_000_000 - len(EXAMPLE))
    assert client.post(padded).status_code == 202
    answer = client.post(padded + b" ")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "length_error")


@pytest.mark.parametrize("path", ["cart", "order/", "order/batch/5", "orders"])
def test_an_unknown_address_is_404(client: Client, path: str) -> None:
    answer = client.post(EXAMPLE, path=path)
    assert answer.status_code == 404
    assert answer.json() == {"errors": [{"code": "not_found_error", "message": "The resource you requested was not found"}]}
    [seen] = client.requests()
    assert (seen["status"], seen["kind"], seen["path"]) == (404, None, f"/v3/1/shopper_activity/{path}")


def test_a_wrong_method_is_404(client: Client) -> None:
    assert requests.get(f"{client.url}/v3/1/shopper_activity/order", auth=TOKEN, timeout=10).status_code == 404


# The quota


def remaining(answer: requests.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]


def test_every_answer_reports_the_quota_of_its_account_and_kind(client: Client) -> None:
    assert remaining(client.post(EXAMPLE)) == (202, "3600", "3599")
    assert remaining(client.post({})) == (422, "3600", "3598")
    assert remaining(client.post(EXAMPLE, auth=None)) == (401, "3600", "3598")
    assert remaining(client.post_batch(example())) == (202, "50", "49")
    assert remaining(client.post(EXAMPLE, account="2")) == (202, "3600", "3599")
    client.tell(status=500, times=1)
    assert remaining(client.post(EXAMPLE)) == (500, "3600", "3597")


def test_over_the_quota_is_429_for_that_kind_alone() -> None:
    with client_of(single_limit=2, batch_limit=1) as client:
        assert [remaining(client.post(EXAMPLE)) for _ in range(3)] == [(202, "2", "1"), (202, "2", "0"), (429, "2", "0")]
        assert client.post(EXAMPLE).json()["message"] == "API rate limit exceeded. Please try again in an hour."
        assert [client.post_batch(example()).status_code for _ in range(2)] == [202, 429]
        assert client.post(EXAMPLE, account="2").status_code == 202
        assert len(client.received(account="1")) == 3


def spend_at(moments: dict[float, str], limit: int) -> list[tuple[bool, int]]:
    """What an account may do, and what remains to it, at each moment."""
    clock = iter(moments)
    state = State({"single": limit, "batch": limit}, enforce=True, hour=3600, keep=1, clock=lambda: next(clock))
    return [state.spend(account, "single", free=False) for account in moments.values()]


def test_the_hour_slides_and_refusals_spend_nothing() -> None:
    moments = dict.fromkeys((0, 1800, 1801, 3599.9, 3600, 3601, 5399.9, 5400), "1")
    spent = [(True, 1), (True, 0), (False, 0), (False, 0), (True, 0), (False, 0), (False, 0), (True, 0)]
    assert spend_at(moments, limit=2) == spent


def test_an_hour_may_be_shorter() -> None:
    with client_of(single_limit=1, hour=2) as client:
        assert [client.post(EXAMPLE).status_code for _ in range(2)] == [202, 429]
        client.wait_for(lambda: client.post(EXAMPLE).status_code == 202)


def test_limits_that_are_not_enforced_are_still_reported() -> None:
    with client_of(single_limit=1, enforce_limits=False) as client:
        assert [remaining(client.post(EXAMPLE)) for _ in range(3)] == [(202, "1", "0")] * 3


def test_the_quota_is_exact_under_threads() -> None:
    with client_of(single_limit=20) as client, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: client.post(EXAMPLE).status_code, range(60)))
        assert (statuses.count(202), statuses.count(429)) == (20, 40)
        assert client.get("/received")["total"] == 20
        assert [row["index"] for row in client.received()] == list(range(20))


def test_idle_accounts_are_forgotten_and_busy_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.sandbox.state._MOST_ACCOUNTS", 2)
    moments = {0: "a", 1: "b", 2: "c", 3: "d", 3601: "a", 3601.1: "b", 3601.2: "c", 3601.3: "d"}
    assert [allowed for allowed, _ in spend_at(moments, limit=1)] == [True, True, True, True, True, True, False, False]


# What it received


def test_received_is_filtered(client: Client) -> None:
    for account, order_id in (("1", "a"), ("2", "b"), ("1", "c")):
        client.post(example(order_id=order_id), account=account)
    assert [row["index"] for row in client.received(account="1")] == [0, 2]
    assert [row["index"] for row in client.received(order_id="b")] == [1]
    assert [row["index"] for row in client.received(since=1, limit=1)] == [1]
    assert client.received(since=3) == []
    client.delete("/received")
    assert client.get("/received") == {"total": 0, "orders": []}


def test_only_the_newest_are_kept_but_all_are_counted() -> None:
    with client_of(keep=3) as client:
        for number in range(5):
            client.post(example(order_id=str(number)))
        assert client.get("/received")["total"] == 5
        assert [(row["index"], row["order_id"]) for row in client.received()] == [(2, "2"), (3, "3"), (4, "4")]
        assert [row["index"] for row in client.received(since=3)] == [3, 4]
        assert client.get("/requests")["total"] == 5


@pytest.mark.parametrize(("since", "expected"), [(0, [2, 3]), (3, [3]), (4, []), (9, [])])
def test_a_log_keeps_counting_what_it_dropped(since: int, expected: list[int]) -> None:
    log: Log[int] = Log(2)
    for number in range(4):
        log.add(number)
    assert list(log.since(since)) == [(number, number) for number in expected]


def test_requests_are_listed(client: Client) -> None:
    client.post(EXAMPLE, headers={"User-Agent": "adapter/1 (example.com)"})
    client.post_batch(example(), {}, account="2")
    single, batch = client.requests()
    assert (single["account"], single["kind"], single["status"], single["auth"]) == ("1", "single", 202, "basic")
    assert (single["user_agent"], single["order_id"], single["orders"]) == ("adapter/1 (example.com)", "456445746", 1)
    assert single["at"] <= single["ended_at"] <= batch["at"]
    assert (batch["account"], batch["kind"], batch["status"], batch["orders"], batch["order_id"]) == ("2", "batch", 422, 2, None)
    assert client.requests(kind="batch") == [batch]
    client.delete("/requests")
    assert client.get("/requests") == {"total": 0, "requests": []}


def test_a_user_agent_is_not_required(client: Client) -> None:
    host = client.url.removeprefix("http://")
    head = f"POST /v3/1/shopper_activity/order HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer x\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(EXAMPLE)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(head.encode() + EXAMPLE)
        assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
    assert client.requests()[0]["user_agent"] is None


def test_the_page_escapes_and_runs_nothing(client: Client) -> None:
    client.post(example(order_public_id="<script>alert(1)</script>", order_id='"><b>'))
    client.post(example(order_id="bare", items=None, grand_total=None, currency=None, email=None, person_id="p"))
    answer = requests.get(client.url, timeout=10)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "<script" not in answer.text
    assert "<b>" not in answer.text
    assert "None" not in answer.text


def test_the_page_shows_the_last_50(client: Client) -> None:
    client.post_batch(*(example(order_id=f"order-{number:03}") for number in range(60)))
    text = requests.get(client.url, timeout=10).text
    assert "60 orders received; the last 50" in text
    assert text.index("order-059") < text.index("order-010")
    assert "order-009" not in text


# Rules for answers


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "authentication_error"), (403, "authorization_error"), (404, "not_found_error"), (422, "email_error"), (500, "internal_error")],
)
@pytest.mark.parametrize("kind", ["single", "batch"])
def test_a_status_set_by_a_rule_has_drips_body(client: Client, status: int, code: str, kind: str) -> None:
    client.tell(status=status, times=1)
    answer = client.post_batch(example()) if kind == "batch" else client.post(EXAMPLE)
    assert (answer.status_code, [error["code"] for error in answer.json()["errors"]]) == (status, [code])
    assert client.received() == []
    assert client.requests()[0]["status"] == status
    assert client.post(EXAMPLE).status_code == 202


def test_a_422_set_by_a_rule_names_an_attribute_as_drip_would(client: Client) -> None:
    client.tell(status=422)
    assert refused(client.post(EXAMPLE)) == [("email_error", "email")]
    assert refused(client.post_batch(example())) == [("email_error", "orders.0.email")]


def test_a_429_set_by_a_rule_is_that_of_the_quota(client: Client) -> None:
    client.tell(status=429, headers={"Retry-After": "7", "X-RateLimit-Remaining": "0"})
    answer = client.post(EXAMPLE)
    assert answer.json()["message"] == "API rate limit exceeded. Please try again in an hour."
    assert (answer.headers["Retry-After"], answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == (
        "7",
        "3600",
        "0",
    )


def test_a_rule_may_set_a_redirect_or_an_unassigned_status(client: Client) -> None:
    client.tell(status=302, times=1, headers={"Location": "https://example.com/"})
    client.tell(status=599)
    answer = client.post(EXAMPLE)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://example.com/")
    assert client.post(EXAMPLE).status_code == 599


def test_rules_apply_in_order_and_as_often_as_they_say(client: Client) -> None:
    client.tell(status=500, times=2)
    client.tell(status=403, times=1)
    assert [client.post(EXAMPLE).status_code for _ in range(4)] == [500, 500, 403, 202]
    client.tell(status=503)
    assert [client.post(EXAMPLE).status_code for _ in range(3)] == [503] * 3
    assert [(rule["status"], rule["times"]) for rule in client.get("/answers")["answers"]] == [(503, None)]
    client.delete("/answers")
    assert client.post(EXAMPLE).status_code == 202


def test_a_rule_is_for_a_kind_an_account_or_an_order(client: Client) -> None:
    client.tell(status=404, kind="batch")
    client.tell(status=401, account="2")
    client.tell(status=422, order_id="7")
    assert client.post_batch(example()).status_code == 404
    assert client.post(EXAMPLE, account="2").status_code == 401
    assert client.post(example(order_id="7")).status_code == 422
    assert client.post(EXAMPLE).status_code == 202


def test_a_rule_for_an_order_applies_to_a_batch_that_contains_it(client: Client) -> None:
    client.tell(status=422, order_id="7", body={"errors": [{"code": "format_error", "attribute": "provider", "message": "no"}]})
    answer = client.post_batch(example(order_id="6"), example(order_id="7"))
    assert (answer.status_code, answer.json()["errors"][0]["attribute"]) == (422, "provider")
    assert client.post_batch(example(order_id="6"), example(order_id="8")).status_code == 202


def test_headers_alone_change_no_more_than_the_headers(client: Client) -> None:
    client.tell(headers={"X-RateLimit-Limit": "100"})
    assert remaining(client.post(EXAMPLE)) == (202, "100", "3599")
    assert refused(client.post(example(provider=ABSENT))) == [("presence_error", "provider")]
    assert len(client.received()) == 1


def test_a_success_set_by_a_rule_still_enforces_the_contract(client: Client) -> None:
    client.tell(status=200)
    assert client.post(EXAMPLE).status_code == 200
    assert client.post(example(provider=ABSENT)).status_code == 422
    assert len(client.received()) == 1


@pytest.mark.parametrize(("rule", "status", "kept"), [({"status": 500, "record": True}, 500, 1), ({"record": False}, 202, 0)])
def test_a_rule_decides_separately_what_is_answered_and_what_is_kept(client: Client, rule: dict[str, Any], status: int, kept: int) -> None:
    client.tell(**rule)
    assert client.post(EXAMPLE).status_code == status
    assert len(client.received()) == kept


def test_a_status_set_by_a_rule_may_have_no_body(client: Client) -> None:
    client.tell(status=204)
    answer = client.post(EXAMPLE)
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_delay_holds_the_answer_back(client: Client) -> None:
    client.tell(hang=0.4, times=1)
    begun = time.monotonic()
    assert client.post(EXAMPLE).status_code == 202
    assert time.monotonic() - begun >= 0.4


def test_a_delay_outlasts_the_senders_timeout_and_holds_up_no_other_request(client: Client) -> None:
    client.tell(hang=60, times=1)
    with pytest.raises(requests.ReadTimeout):
        client.post(EXAMPLE, timeout=0.3)
    assert client.post(EXAMPLE).status_code == 202
    assert [row["status"] for row in client.requests()] == [None, 202]
    assert len(client.received()) == 2


def test_deleting_the_rules_ends_delays(client: Client) -> None:
    client.tell(hang=100, status=503)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(client.post, EXAMPLE, timeout=30) for _ in range(3)]
        client.wait_for(lambda: len(client.requests()) == 3)
        time.sleep(0.1)
        assert not any(future.done() for future in waiting)
        client.delete("/answers")
        assert [future.result(timeout=5).status_code for future in waiting] == [503] * 3
    assert client.received() == []


def test_stopping_ends_delays() -> None:
    with client_of() as client:
        client.tell(hang=100)
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(client.post(EXAMPLE, timeout=30).status_code))
        thread.start()
        client.wait_for(client.received)
    thread.join(5)
    assert answers == [202]


@pytest.mark.parametrize(("rule", "kept"), [({"drop": True}, 0), ({"drop": True, "record": True}, 1), ({"drop": True, "hang": 0.1}, 0)])
@pytest.mark.parametrize("kind", ["single", "batch"])
def test_a_drop_closes_the_connection(client: Client, rule: dict[str, Any], kept: int, kind: str) -> None:
    client.tell(**rule, times=1)
    assert dropped(lambda: client.post_batch(example()) if kind == "batch" else client.post(EXAMPLE))
    assert len(client.received()) == kept
    [seen] = client.requests()
    assert (seen["status"], seen["dropped"], seen["ended_at"] is None) == (None, True, False)
    assert client.post(EXAMPLE).status_code == 202


def test_a_drop_records_nothing_that_violates_the_contract(client: Client) -> None:
    client.tell(drop=True, record=True)
    assert dropped(lambda: client.post(example(provider=ABSENT)))
    assert client.received() == []


@pytest.mark.parametrize(
    ("rule", "attribute"),
    [
        ({"status": 99}, "status"),
        ({"status": "500"}, "status"),
        ({"times": 0}, "times"),
        ({"kind": "both"}, "kind"),
        ({"hang": 121}, "hang"),
        ({"hang": -1}, "hang"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers.A.value"),
        ({"headers": {"A b": "c"}}, "headers.A b.key"),
        ({"body": []}, "body"),
        ({"statuss": 500}, "statuss"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(client: Client, rule: dict[str, Any], attribute: str) -> None:
    answer = requests.put(f"{client.url}/answers", json=rule, timeout=10)
    assert (answer.status_code, answer.json()["errors"][0]["attribute"]) == (422, attribute)
    assert client.get("/answers") == {"answers": []}


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 422), (b"5", 422)])
def test_a_rule_is_an_object(client: Client, body: bytes, status: int) -> None:
    assert requests.put(f"{client.url}/answers", data=body, timeout=10).status_code == status


def test_a_rule_has_the_size_of_a_body(client: Client) -> None:
    assert requests.put(f"{client.url}/answers", data=b" " * 10_000_001, timeout=10).status_code == 413
    assert client.requests() == []


# Servers


def test_a_drop_needs_a_server_that_hands_out_its_socket() -> None:
    app = create_sandbox()
    app.testing = True
    browser = app.test_client()
    browser.put("/answers", json={"drop": True})
    with pytest.raises(RuntimeError, match="use werkzeug or gunicorn"):
        browser.post("/v3/1/shopper_activity/order", data=EXAMPLE, content_type="application/json", auth=("token", ""))


def test_two_sandboxes_share_nothing() -> None:
    with client_of() as one, client_of() as other:
        one.post(EXAMPLE)
        assert (len(one.received()), len(other.received())) == (1, 0)


@pytest.fixture
def gunicorn() -> Iterator[Client]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "gunicorn", "--worker-class=gthread", "--threads=4", "--log-level=warning"]
        command += [f"--bind=fd://{listener.fileno()}", "adapter.sandbox:create_sandbox()"]
        with subprocess.Popen(command, pass_fds=[listener.fileno()]) as process:
            try:
                yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
            finally:
                process.terminate()


@pytest.mark.slow
def test_gunicorn_serves_it_too(gunicorn: Client) -> None:
    assert gunicorn.post(EXAMPLE, timeout=30).status_code == 202
    gunicorn.tell(drop=True, record=True, times=1)
    assert dropped(lambda: gunicorn.post(EXAMPLE))
    gunicorn.tell(hang=0.2, status=500, times=1)
    assert [gunicorn.post(EXAMPLE).status_code for _ in range(2)] == [500, 202]
    assert gunicorn.post(EXAMPLE + b" " * 10_000_000).status_code == 413
    assert [row["status"] for row in gunicorn.requests()] == [202, None, 500, 202, 413]
    assert len(gunicorn.received()) == 3
