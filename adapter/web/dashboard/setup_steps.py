"""A platform's setup steps, written as lines for a terminal, as parts of a page: headings, numbered steps, values and commands to copy."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

_STEP = re.compile(r"\d+\. (.*)")
_TITLE = re.compile(r"[A-Z]\. (.*)")
_VALUE = re.compile(r"([A-Z][\w /]*?)(?:: +|  +)(\S.*)")
_SETTING = re.compile(r"([A-Z]+(?:_[A-Z]+)+) (\(.*)")
_COMMANDS = ("bin/magento ", "composer ", "drip-adapter ")
_INDENTED = 5
"""Lines indented so far are values and commands; by less, they continue the step above."""


@dataclass(slots=True)
class Part:
    """A value to copy, under its name if it has one; or more text of a step."""

    kind: Literal["value", "text"]
    text: str
    name: str = ""
    note: str = ""
    """What is said about the value."""

    @property
    def is_literal(self) -> bool:
        """Whether it is to be entered as it is."""
        return self.kind == "value" and (" " not in self.text or self.text.startswith(_COMMANDS) or " = " in self.text)


@dataclass(slots=True)
class Step:
    """A numbered step."""

    text: str
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class Way:
    """One way to set it up; `title` is blank if there is only one."""

    title: str = ""
    before: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def ways(lines: Iterable[str]) -> list[Way]:
    """The ways in which a platform's lines say that it can be set up; the first holds what comes before any title."""
    found = [Way()]
    for line in lines:
        text = line.strip()
        if not text:
            continue
        if title := _TITLE.fullmatch(line):
            found.append(Way(title[1]))
        elif step := _STEP.fullmatch(line):
            found[-1].steps.append(Step(step[1]))
        elif line.startswith(" ") and found[-1].steps:
            _add(found[-1].steps[-1], text, is_value=len(line) - len(line.lstrip()) >= _INDENTED)
        else:
            (found[-1].after if found[-1].steps else found[-1].before).append(text)
    return [way for way in found if way.title or way.steps or way.before]


def _add(step: Step, text: str, *, is_value: bool) -> None:
    """A continued sentence joins the text above; a command ends with no full stop and stands alone."""
    if not is_value and not _is_command(text):
        if step.parts:
            step.parts.append(Part("text", text))
        else:
            step.text = f"{step.text} {text}"
    elif (named := _VALUE.fullmatch(text)) is not None:
        setting = _SETTING.fullmatch(named[2])
        step.parts.append(Part("value", setting[1], named[1], setting[2]) if setting else Part("value", named[2], named[1]))
    else:
        step.parts.append(Part("value", text))


def _is_command(text: str) -> bool:
    return text.startswith(_COMMANDS) and not text.endswith(".")
