"""Marshmallow fields for what stores really send.

Stores leave keys out, send null for "", numbers as strings and `[]` for an empty object. So each of these fields reads absent, null and
blank as one, and gives a default for it; only an id or a number that cannot be read is an error, since guessing there would
send a wrong order. They read in one step instead of marshmallow's chain of validators, because an order has hundreds of values.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.constants import missing

from mappings.core.money import rounded

MISSING = "Missing data for required field."
_LARGEST_EXPONENT = 15
# A JSON number with more decimals than this is binary noise (Magento prints 19.989999999999998).
_MOST_DECIMALS = 6
_NOISE_PLACES = 4
_LONGEST_ID = 255
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_FLAGS = {True: True, False: False, "1": True, "0": False, "true": True, "false": False, "yes": True, "no": False}


class PayloadSchema(Schema):
    """Base of every schema that loads a payload: takes what it declares and leaves the rest."""

    class Meta:
        unknown = EXCLUDE


class _Field(fields.Field[Any]):
    """A value that may be absent, null or blank, which is all the same."""

    default: ClassVar[Any] = None

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        if value is missing or value is None or value == "":
            if self.required:
                raise ValidationError(MISSING)
            return self.default
        return self.read(value)

    def read(self, value: Any) -> Any:
        """A value that is there, in its own type; raises `ValidationError` where only a guess could go on."""
        raise NotImplementedError


class Id(_Field):
    """An identifier, as a string whatever the store prints; "" for none."""

    default = ""

    def read(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (int, str, Decimal)):
            raise ValidationError("Not a valid id.")
        if isinstance(value, Decimal) and value.as_tuple().exponent != 0:
            raise ValidationError("Not a valid id.")
        text = str(value).strip()
        if not text and self.required:
            raise ValidationError(MISSING)
        if len(text) > _LONGEST_ID:
            raise ValidationError("Too long for an id.")
        return text


class Text(_Field):
    """A trimmed string; a number as its digits; "" for anything else."""

    default = ""

    def read(self, value: Any) -> str:
        if isinstance(value, str):
            return value.strip()
        return str(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else ""


class Number(_Field):
    """An amount or a quantity, as `Decimal`; None for none.

    Refuses exponents beyond 15 either way before any arithmetic: `int(Decimal("1e1000000"))` takes half a minute.
    """

    def read(self, value: Any) -> Decimal:
        if isinstance(value, Decimal):
            number = value
        elif isinstance(value, int) and not isinstance(value, bool):
            number = Decimal(value)
        elif isinstance(value, str) and (digits := value.strip()) and _DECIMAL.fullmatch(digits):
            try:
                number = Decimal(digits)
            except InvalidOperation:
                raise ValidationError("Number out of range.") from None
        elif isinstance(value, str) and not value.strip() and not self.required:
            return self.default  # type: ignore[no-any-return]
        else:
            raise ValidationError("Not a valid number.")
        if number and abs(number.adjusted()) > _LARGEST_EXPONENT:
            raise ValidationError("Number out of range.")
        exponent = number.as_tuple().exponent
        if isinstance(value, Decimal) and isinstance(exponent, int) and -exponent > _MOST_DECIMALS:
            return rounded(number, _NOISE_PLACES)
        if isinstance(exponent, int) and exponent > 0:
            return number.quantize(Decimal(1))  # 1e2 is printed as 100
        return number if number else Decimal(0)


class Amount(Number):
    """A number that is 0 where the store does not say."""

    default = Decimal(0)


class Time(_Field):
    """An ISO 8601 time in UTC; a time printed without zone is taken for UTC; None for an unreadable one."""

    def read(self, value: Any) -> datetime | None:
        try:
            moment = datetime.fromisoformat(value.strip())
            return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
        except (AttributeError, TypeError, ValueError, OverflowError):
            return None


class Flag(_Field):
    """A boolean in any of its spellings; None where it is not one."""

    def read(self, value: Any) -> bool | None:
        try:
            return _FLAGS.get(value.strip().lower() if isinstance(value, str) else value)
        except TypeError:  # an unhashable value
            return None


class TextOrAbsent(Text):
    """Text whose absence means something else than its being blank: None where the key itself is not there."""

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        return None if value is missing else super().deserialize(value, attr, data, **kwargs)


class Raw(_Field):
    """Whatever is there, unread."""

    def read(self, value: Any) -> Any:
        return value


class Texts(_Field):
    """A list of strings without its blanks."""

    default = ()

    def read(self, value: Any) -> tuple[str, ...]:
        read = Text().read
        return tuple(text for entry in value if entry is not None and (text := read(entry))) if isinstance(value, list) else ()


class Part(_Field):
    """A nested object; one loaded from nothing where the store sends none, or PHP's empty list for it."""

    def __init__(self, schema: type[PayloadSchema], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nested = schema()
        self.default = None if self.required else self.nested.load({})  # type: ignore[misc]

    def read(self, value: Any) -> Any:
        return self.nested.load(value) if isinstance(value, dict) else self.nested.load({})


class Rows(_Field):
    """A list of nested objects; an object keyed by id counts as the list of its values.

    `strict` rows are what an order is made of: there an entry that is no object is an error, elsewhere it is passed over.
    """

    default = ()

    def __init__(self, schema: type[PayloadSchema], *, strict: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nested = schema(many=True)
        self.strict = strict

    def read(self, value: Any) -> Any:
        if isinstance(value, dict):
            value = list(value.values())
        if not isinstance(value, list):
            if self.strict:
                raise ValidationError("Not a valid list.")
            return ()
        if strangers := [index for index, row in enumerate(value) if not isinstance(row, dict)]:
            if self.strict:
                raise ValidationError({index: ["Not a valid object."] for index in strangers})
            value = [row for row in value if isinstance(row, dict)]
        return self.nested.load(value)
