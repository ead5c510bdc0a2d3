"""Marshmallow fields for what stores really send.

Stores leave keys out, send null for "", numbers as strings, and `[]` for an empty object. Each of these fields therefore treats absent,
null and blank the same and has a default for them. Only an unreadable ID or number is an error, because a guess would send a wrong order.
The fields skip marshmallow's chain of validators, because an order has hundreds of values.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.constants import missing

from mappings.core.errors import MOST_PROBLEMS
from mappings.core.money import decimals, rounded

MISSING = "Missing data for required field."
_LARGEST_EXPONENT = 15
# A JSON number with more decimals than this is binary noise (Magento sends 19.989999999999998).
_MOST_DECIMALS = 6
_ZERO = Decimal(0)
_NOISE_PLACES = 4
_LONGEST_ID = 255
# Shopify's 250 tags of 40 characters come in one text; nothing else that is read is as long. The rest is cut off.
_LONGEST_TEXT = 20_000
_LONGEST_NUMBER = 400
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_Reader = Callable[[Any], Any]
_FLAGS = {True: True, False: False, "1": True, "0": False, "true": True, "false": False, "yes": True, "no": False}


class PayloadSchema(Schema):
    """Base of the schemas that load payloads: reads the declared fields and ignores the rest.

    A payload without errors is loaded by a plan that is compiled once, which is several times faster. At the first error, marshmallow loads
    it again and reports every error by its path.
    """

    class Meta:
        unknown = EXCLUDE

    def load(self, data: Any, *, many: bool | None = None, **kwargs: Any) -> Any:
        """The loaded payload, or a list of them; raises `ValidationError`."""
        many = self.many if many is None else many
        try:
            return [self._load_by_plan(row) for row in data] if many else self._load_by_plan(data)
        except ValidationError:
            return self._load_rows(data) if many else self.load_reporting(data, many=False, **kwargs)

    def load_reporting(self, data: Any, *, many: bool | None = None, **kwargs: Any) -> Any:
        """The same, by marshmallow alone."""
        return super().load(data, many=many, **kwargs)

    def _load_rows(self, rows: Iterable[Any]) -> list[Any]:
        """Rows of which the plan can't read some; only the first of those with errors are reported, the others counted."""
        loaded: list[Any] = []
        errors: dict[Any, Any] = {}
        unlisted = 0
        for index, row in enumerate(rows):
            try:
                loaded.append(self._load_by_plan(row))
            except ValidationError:
                if len(errors) == MOST_PROBLEMS:
                    unlisted += 1
                    continue
                try:  # the plan reads no number with spaces around it
                    loaded.append(self.load_reporting(row, many=False))
                except ValidationError as error:
                    errors[index] = error.messages
                    loaded.append(error.valid_data)
        if errors:
            raise ValidationError(_with_count(errors, unlisted), valid_data=loaded)
        return loaded

    def _load_by_plan(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError("Not a valid object.")
        plan = self._plan
        loaded = plan.defaults.copy()
        plan.load_texts(data, loaded)
        plan.load_numbers(data, loaded)
        for name, key, read in plan.others:
            if key in data:
                value = data[key]
                if value is not None and value != "":
                    loaded[name] = read(value)
        for name, key, deserialize in plan.exceptions:
            loaded[name] = deserialize(data.get(key, missing))
        return loaded

    @cached_property
    def _plan(self) -> "_Plan":
        plan = _Plan()
        for name, field in self.load_fields.items():
            assert isinstance(field, _Field)  # noqa: S101 - schemas only use the fields of this module
            plan.add(name, field)
        return plan


class _Plan:
    """How to load a schema's fields: what most of them are, texts and numbers, without a call for each.

    Each entry is the name, the key in the payload, and the reader of a value that isn't blank.
    """

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}
        """Every field as it is loaded from an empty object."""
        self.texts: list[tuple[str, str, _Reader]] = []
        self.numbers: list[tuple[str, str, _Reader]] = []
        self.others: list[tuple[str, str, _Reader]] = []
        self.exceptions: list[tuple[str, str, _Reader]] = []
        """The fields that are required, or that tell an absent value from a blank one."""

    def load_texts(self, data: Mapping[str, Any], loaded: dict[str, Any]) -> None:
        for name, key, read in self.texts:
            if key in data:
                value = data[key]
                if type(value) is str:
                    loaded[name] = value.strip()[:_LONGEST_TEXT]
                elif value is not None:
                    loaded[name] = read(value)

    def load_numbers(self, data: Mapping[str, Any], loaded: dict[str, Any]) -> None:
        for name, key, read in self.numbers:
            if key in data:
                value = data[key]
                if value is not None and value != "":
                    loaded[name] = _number_of(value) if type(value) is str else read(value)

    def add(self, name: str, field: "_Field") -> None:
        """Add a field to the list that it belongs to."""
        key, read = field.data_key or name, type(field).read
        self.defaults[name] = field.default
        if field.required or type(field).deserialize is not _Field.deserialize:
            self.exceptions.append((name, key, field.deserialize))
        elif read is Text.read:
            self.texts.append((name, key, field.read))
        elif read is Number.read:
            self.numbers.append((name, key, field.read))
        else:
            self.others.append((name, key, field.read))


class _Field(fields.Field[Any]):
    """A value that may be absent, null or blank, all of which mean the same."""

    default: ClassVar[Any] = None

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        if value is missing or value is None or value == "":
            if self.required:
                raise ValidationError(MISSING)
            return self.default
        return self.read(value)

    def read(self, value: Any) -> Any:
        """Convert a value that is there; raises `ValidationError` if it could only be guessed."""
        raise NotImplementedError


class Id(_Field):
    """An ID, as a string whatever type the store sends; "" for none."""

    default = ""

    def read(self, value: Any) -> str:
        if type(value) is not int and (isinstance(value, bool) or not isinstance(value, (str, Decimal))):
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
            return value.strip()[:_LONGEST_TEXT]
        return str(value)[:_LONGEST_TEXT] if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else ""


_text = Text().read


class Number(_Field):
    """An amount or a quantity, as `Decimal`; None for none.

    Refuses exponents beyond 15 either way before any arithmetic: `int(Decimal("1e1000000"))` takes half a minute.
    """

    def read(self, value: Any) -> Decimal:
        if isinstance(value, Decimal):
            return _without_noise(str(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return _bounded(Decimal(value))
        if not isinstance(value, str):
            raise ValidationError("Not a valid number.")
        digits = value.strip()
        return _number_of(digits) if digits or self.required else self.default


# An order repeats its amounts: mostly 0, the price, the tax.
@lru_cache(maxsize=4096)
def _without_noise(digits: str) -> Decimal:
    number = _number_of(digits)
    return rounded(number, _NOISE_PLACES) if decimals(number) > _MOST_DECIMALS else number


@lru_cache(maxsize=4096)
def _number_of(digits: str) -> Decimal:
    if len(digits) > _LONGEST_NUMBER:
        raise ValidationError("Number out of range.")
    if not _DECIMAL.fullmatch(digits):
        raise ValidationError("Not a valid number.")
    try:
        return _bounded(Decimal(digits))
    except InvalidOperation:
        raise ValidationError("Number out of range.") from None


def _bounded(number: Decimal) -> Decimal:
    """The number, without an exponent or a negative zero; raises `ValidationError` beyond what an amount can be."""
    if number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValidationError("Number out of range.")
    if not number:
        return _ZERO
    return number.quantize(Decimal(1)) if "E+" in str(number) else number  # 1e2 is printed as 100


class Amount(Number):
    """A number that is 0 if the store doesn't send it."""

    default = Decimal(0)


class Time(_Field):
    """An ISO 8601 time, converted to UTC; a time without a zone counts as UTC, and an unreadable one as None."""

    def read(self, value: Any) -> datetime | None:
        try:
            moment = datetime.fromisoformat(value.strip())
            return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
        except (AttributeError, TypeError, ValueError, OverflowError):
            return None


class Flag(_Field):
    """A boolean in any of its spellings; None for anything else."""

    def read(self, value: Any) -> bool | None:
        try:
            return _FLAGS.get(value.strip().lower() if isinstance(value, str) else value)
        except TypeError:  # the value isn't hashable
            return None


class TextOrAbsent(Text):
    """Text that tells an absent key (None) from a blank value ("")."""

    def deserialize(self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        return None if value is missing else super().deserialize(value, attr, data, **kwargs)


class Raw(_Field):
    """Any value, as it is."""

    def read(self, value: Any) -> Any:
        return value


class Texts(_Field):
    """A list of strings, without blank ones."""

    default = ()

    def read(self, value: Any) -> tuple[str, ...]:
        return tuple(text for entry in value if entry is not None and (text := _text(entry))) if isinstance(value, list) else ()


class Part(_Field):
    """A nested object; its defaults if the store sends none, or PHP's empty list instead."""

    def __init__(self, schema: type[PayloadSchema], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nested = schema()
        self.default = None if self.required else self.nested.load({})  # type: ignore[misc]

    def read(self, value: Any) -> Any:
        return self.nested.load(value if isinstance(value, dict) else {})


class Rows(_Field):
    """A list of nested objects; an object keyed by ID counts as the list of its values.

    An entry that isn't an object is ignored, except in `strict` rows, which an order can't do without: there it is an error.
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
                problems = {index: ["Not a valid object."] for index in strangers[:MOST_PROBLEMS]}
                raise ValidationError(_with_count(problems, len(strangers) - len(problems)))
            value = [row for row in value if isinstance(row, dict)]
        return self.nested.load(value)


def _with_count(problems: dict[Any, Any], unlisted: int) -> dict[Any, Any]:
    """Entries with problems, after how many more there are: of all of an order's problems only the first are kept."""
    return {"_schema": [f"and {unlisted:,} more entries with problems"], **problems} if unlisted else problems
