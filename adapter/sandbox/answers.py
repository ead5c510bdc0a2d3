"""Answers as Drip words them, and rules with which people and tests make the sandbox answer differently."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from marshmallow import Schema, ValidationError, fields, post_load, validate
from werkzeug.http import HTTP_STATUS_CODES

Kind = Literal["single", "batch"]

MOST_BODY_BYTES = 10_000_000
LONGEST_HANG = 120
_REFUSALS = {
    400: ("format_error", "The body is not what application/json promises"),
    401: ("authentication_error", "Authentication failed, check your credentials"),
    403: ("authorization_error", "You are not authorized to access this resource"),
    404: ("not_found_error", "The resource you requested was not found"),
    413: ("length_error", f"The body is longer than {MOST_BODY_BYTES} bytes"),
}
# Word for word from the page "Rate limiting", with its spelling.
_OVER_LIMIT = {
    "message": "API rate limit exceeded. Please try again in an hour.",
    "documentation": "https://www.getdrip.com/docs/rest-api#rate-limting",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is a JSON document, or a string to send as it is."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def errors(status: int, problems: list[tuple[str, str, str]]) -> Answer:
    """A refusal in Drip's form, from (code, attribute, message)."""
    found = [
        {"code": code, "attribute": attribute, "message": f"{attribute} {message}"} if attribute else {"code": code, "message": message}
        for code, attribute, message in problems
    ]
    return Answer(status=status, body={"errors": found})


def refusal(status: int, kind: Kind = "single") -> Answer:
    """Drip's usual body for a status that refuses a whole request."""
    if status == 429:
        return Answer(status=429, body=_OVER_LIMIT)
    if status == 422:
        attribute = "email" if kind == "single" else "orders.0.email"
        return errors(422, [("email_error", attribute, "was refused by a rule")])
    if status in _REFUSALS:
        code, message = _REFUSALS[status]
    else:
        code, message = ("internal_error" if status >= 500 else "error"), HTTP_STATUS_CODES.get(status, "Unknown status")
    headers = {"WWW-Authenticate": 'Basic realm="Drip"'} if status == 401 else {}
    return Answer(status=status, body={"errors": [{"code": code, "message": message}]}, headers=headers)


@dataclass(kw_only=True)
class Rule:
    """What to answer instead, to which requests, and how often. None means any request, without end, or as usual."""

    status: int | None = None
    times: int | None = None
    kind: Kind | None = None
    account: str | None = None
    order_id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | str | None = None
    hang: float | None = None
    drop: bool = False
    record: bool | None = None

    @property
    def refuses(self) -> bool:
        return self.status is not None and not 200 <= self.status < 300

    @property
    def records(self) -> bool:
        return not (self.drop or self.refuses) if self.record is None else self.record

    def matches(self, account: str, kind: Kind | None, order_ids: list[str]) -> bool:
        """Whether it applies to this request; to a batch if the order is in it."""
        return self.account in (None, account) and self.kind in (None, kind) and (self.order_id is None or self.order_id in order_ids)


def _dict_or_text(value: Any) -> None:
    if not isinstance(value, dict | str):
        raise ValidationError("Not an object, or a string to answer with as it is.")


class RuleSchema(Schema):
    """The body of `PUT /answers`."""

    status = fields.Integer(strict=True, allow_none=True, validate=validate.Range(200, 599))
    times = fields.Integer(strict=True, allow_none=True, validate=validate.Range(min=1))
    kind = fields.String(allow_none=True, validate=validate.OneOf(("single", "batch")))
    account = fields.String(allow_none=True)
    order_id = fields.String(allow_none=True)
    headers = fields.Dict(
        keys=fields.String(validate=validate.Regexp(r"[A-Za-z0-9-]+\Z")),
        values=fields.String(validate=validate.Regexp(r"[\x20-\x7e]*\Z")),
    )
    body = fields.Raw(allow_none=True, validate=_dict_or_text)
    hang = fields.Float(allow_none=True, validate=validate.Range(0, LONGEST_HANG))
    drop = fields.Boolean()
    record = fields.Boolean(allow_none=True)

    @post_load
    def make(self, values: dict[str, Any], **kwargs: Any) -> Rule:
        return Rule(**values)


def apply_rule(answer: Answer, kind: Kind, rule: Rule, released: threading.Event) -> Answer | None:
    """The usual answer as a rule changes it, after the rule's delay; None to drop the connection."""
    if rule.hang:
        released.wait(rule.hang)
    if rule.drop:
        return None
    if rule.status is not None and rule.refuses:
        answer = refusal(rule.status, kind)
    elif rule.status is not None and answer.status == 202:
        answer = Answer(status=rule.status, body=answer.body)
    body = answer.body if rule.body is None else rule.body
    return Answer(status=answer.status, body=body, headers={**answer.headers, **rule.headers})
