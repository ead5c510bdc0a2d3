"""The verdict: each thing that can be wrong, from the facts alone."""

import inspect
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.inbox.figures import Retrying
from adapter.inbox.lost_orders import LostOrders
from adapter.operations import verdict
from adapter.operations.facts import AccountFacts, Facts, Holdup, Refusal, StoreFacts, SumsDiffer
from adapter.operations.silence import Silence
from adapter.operations.verdict import CODES, Status, findings_of, headline, status_of
from adapter.operations.waiting import Waiting

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
ROOT = Path(__file__).parent.parent.parent
DRIP = AccountFacts(has_sender=True)
SHOP = StoreFacts(account="1", waiting=Waiting(), silence=Silence(NOW, None), secret_setting="SHOP_SECRET")


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


def facts(store: StoreFacts = SHOP, account: AccountFacts | None = DRIP) -> Facts:
    return Facts(now=NOW, stores={"shop": store}, accounts={} if account is None else {"1": account})


def found(judged: Facts) -> list[tuple[str, Status]]:
    return [(finding.code, finding.status) for finding in findings_of(judged)]


def refused(reason: str, at: datetime, accepted: datetime | None) -> StoreFacts:
    return replace(SHOP, silence=Silence(accepted, None), refusals=[Refusal(reason=reason, number=3, last_at=at)])


def waiting(**values: Any) -> StoreFacts:
    return replace(SHOP, waiting=Waiting(**values))


def come_back(at: datetime, *, returns: int = 2, paused: timedelta = timedelta(minutes=5)) -> StoreFacts:
    """Refused webhooks between accepted ones, the last of which was a minute ago."""
    refusal = Refusal(reason="mismatch", number=9, last_at=at, before_at=at - paused, returns=returns)
    return replace(SHOP, silence=Silence(ago(minutes=1), None), refusals=[refusal])


def held(reason: str, since: datetime) -> StoreFacts:
    return replace(SHOP, holdups=[Holdup(reason=reason, why="it is down", since=since, until=NOW + timedelta(minutes=1))])


WAITING_LIVE = waiting(due=1, due_since=ago(minutes=11), live_due_since=ago(minutes=11))
SUMS = SumsDiffer(since=NOW, orders=20, differing=3, delivery=17, what="They are off.", advice="Add the field.")
RETRIED = waiting(later=1, retrying=Retrying(1, ago(minutes=11), NOW + timedelta(minutes=9)))
WAITING_PAST = waiting(due=9, due_since=ago(hours=3))


def test_nothing_is_wrong() -> None:
    assert findings_of(facts()) == []
    assert status_of([]) is Status.OK


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        pytest.param(Facts(now=NOW, stores={}, accounts={"1": DRIP}), [("no_store", Status.ATTENTION)], id="no store"),
        pytest.param(facts(replace(SHOP, account=""), None), [("no_account", Status.STUCK)], id="no account"),
        pytest.param(facts(account=AccountFacts(has_sender=False)), [("no_sender", Status.STUCK)], id="no sender"),
        pytest.param(facts(account=replace(DRIP, paused_since=ago(hours=1), reason="401")), [("paused", Status.STUCK)], id="paused"),
        pytest.param(facts(account=replace(DRIP, outage_since=ago(minutes=1))), [("outage", Status.STUCK)], id="outage"),
        pytest.param(facts(account=replace(DRIP, throttled={"single": NOW})), [("throttled", Status.ATTENTION)], id="throttled"),
        pytest.param(facts(WAITING_LIVE), [("waiting", Status.STUCK)], id="a live order waits"),
        pytest.param(facts(waiting(due=1, due_since=ago(minutes=9), live_due_since=ago(minutes=9))), [], id="not for long"),
        pytest.param(facts(waiting(unread=1, live_unread_since=ago(minutes=11))), [("waiting", Status.STUCK)], id="unread"),
        pytest.param(facts(waiting(unread=9, unread_since=ago(minutes=50))), [], id="past orders are being read"),
        pytest.param(facts(waiting(unread=9, unread_since=ago(minutes=61))), [("waiting", Status.STUCK)], id="past orders are not read"),
        pytest.param(facts(WAITING_PAST, replace(DRIP, last_request_at=ago(minutes=2))), [], id="past orders are being sent"),
        pytest.param(
            facts(WAITING_PAST, replace(DRIP, last_request_at=ago(minutes=20))), [("waiting", Status.STUCK)], id="past orders stuck"
        ),
        pytest.param(
            facts(WAITING_PAST, replace(DRIP, throttled={"batch": NOW})), [("throttled", Status.ATTENTION)], id="past orders throttled"
        ),
        pytest.param(
            facts(WAITING_LIVE, replace(DRIP, throttled={"single": NOW})),
            [("waiting", Status.STUCK), ("throttled", Status.ATTENTION)],
            id="a live order waits for the rate limit",
        ),
        pytest.param(facts(RETRIED), [("retrying", Status.ATTENTION)], id="an order fails on its own"),
        pytest.param(
            facts(RETRIED, replace(DRIP, is_failing=True)),
            [("waiting", Status.STUCK), ("retrying", Status.ATTENTION)],
            id="nothing has been accepted since an order failed",
        ),
        pytest.param(facts(WAITING_LIVE, AccountFacts(has_sender=False)), [("no_sender", Status.STUCK)], id="explained by the sender"),
        pytest.param(
            facts(WAITING_LIVE, replace(DRIP, paused_since=NOW, reason="401")), [("paused", Status.STUCK)], id="explained by the pause"
        ),
        pytest.param(facts(replace(SHOP, dead=2, dead_at=NOW)), [("dead", Status.ATTENTION)], id="dead"),
        pytest.param(facts(replace(SHOP, sums=SUMS)), [("sums_differ", Status.ATTENTION)], id="sums differ"),
        pytest.param(facts(replace(SHOP, lost=LostOrders(2, NOW, NOW, "why"))), [("store_error", Status.STUCK)], id="losing orders"),
        pytest.param(facts(refused("mismatch", ago(days=3), None)), [("signature_mismatch", Status.ATTENTION)], id="wrong from the start"),
        pytest.param(
            facts(refused("mismatch", ago(hours=3), ago(hours=4))), [("signature_mismatch", Status.ATTENTION)], id="wrong after a rotation"
        ),
        pytest.param(facts(refused("mismatch", ago(minutes=6), ago(minutes=5))), [], id="right again"),
        pytest.param(facts(come_back(ago(minutes=20))), [("signature_mismatch", Status.ATTENTION)], id="refused between accepted ones"),
        pytest.param(facts(come_back(ago(minutes=31))), [], id="not for a while"),
        pytest.param(facts(come_back(ago(minutes=20), returns=1)), [], id="a leftover of a mended secret"),
        pytest.param(
            facts(come_back(ago(hours=9), paused=timedelta(hours=5))), [("signature_mismatch", Status.ATTENTION)], id="refused now and then"
        ),
        pytest.param(facts(come_back(ago(hours=25), paused=timedelta(hours=20))), [], id="not for a day"),
        pytest.param(facts(held("store_api", ago(minutes=2))), [("store_api", Status.ATTENTION)], id="the store's API fails"),
        pytest.param(facts(held("store_api", ago(minutes=11))), [("store_api", Status.STUCK)], id="the store's API fails for long"),
        pytest.param(facts(held("locked", NOW)), [("locked", Status.STUCK)], id="no key"),
        pytest.param(facts(refused("missing", ago(hours=3), None)), [("signature_missing", Status.ATTENTION)], id="unsigned"),
        pytest.param(facts(refused("missing", ago(minutes=1), NOW)), [], id="unsigned, but webhooks arrive"),
        pytest.param(facts(refused("missing", ago(hours=25), None)), [], id="unsigned, long ago"),
        pytest.param(facts(replace(SHOP, silence=Silence(ago(hours=5), timedelta(hours=4)))), [("silent", Status.ATTENTION)], id="silent"),
    ],
)
def test_each_finding(judged: Facts, expected: list[tuple[str, Status]]) -> None:
    assert found(judged) == expected


def test_a_store_that_is_not_configured() -> None:
    gone = replace(SHOP, account="", is_configured=False)
    both = Facts(now=NOW, stores={"shop": SHOP, "old": gone}, accounts={"1": DRIP})
    assert found(both) == []
    waits = Facts(now=NOW, stores={"shop": SHOP, "old": replace(gone, waiting=Waiting(later=1))}, accounts={"1": DRIP})
    assert found(waits) == [("not_configured", Status.STUCK)]


def test_the_worst_comes_first_and_is_the_verdict() -> None:
    both = findings_of(facts(replace(WAITING_LIVE, dead=1, dead_at=NOW)))
    assert [finding.code for finding in both] == ["waiting", "dead"]
    assert status_of(both) is Status.STUCK
    assert status_of(both[1:]) is Status.ATTENTION


def test_a_finding_says_since_when_until_when_and_what_to_do() -> None:
    [finding] = findings_of(
        facts(account=replace(DRIP, paused_since=ago(hours=1), next_try_at=NOW + timedelta(minutes=4), reason="401: check DRIP_API_KEY"))
    )
    assert (finding.account, finding.since, finding.until) == ("1", ago(hours=1), NOW + timedelta(minutes=4))
    assert finding.text == "Drip account 1 is paused: 401: check DRIP_API_KEY."
    assert finding.do


@pytest.mark.parametrize(
    ("status", "any_received", "sandbox", "expected"),
    [
        (Status.OK, True, False, "Orders are reaching Drip."),
        (Status.OK, True, True, "Orders are reaching the sandbox."),
        (Status.OK, False, False, "Ready and waiting for the first webhook."),
        (Status.ATTENTION, True, False, "Orders are reaching Drip, but something needs attention."),
        (Status.ATTENTION, False, False, "Waiting for the first webhook, but something needs attention."),
        (Status.STUCK, False, False, "Orders are stuck."),
        (Status.STUCK, True, True, "Orders are stuck."),
    ],
)
def test_the_headline(status: Status, any_received: bool, sandbox: bool, expected: str) -> None:
    assert headline(status, any_received=any_received, sandbox=sandbox) == expected


def test_exactly_the_existing_findings_are_documented() -> None:
    codes = set(CODES)
    table = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8").partition("| code | verdict | meaning |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == codes


def test_the_list_of_codes_is_complete() -> None:
    source = inspect.getsource(verdict).partition("def findings_of")[2]
    assert set(re.findall(r'code="(\w+)"|"(signature_\w+)"', source)) == {
        ("", code) if code.startswith("signature") else (code, "") for code in CODES
    }
