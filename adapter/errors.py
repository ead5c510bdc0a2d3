"""What can go wrong, grouped by what is done about it.

    AdapterError
    ├── SettingsError    wrong settings or wrong use: name the setting to change, exit with 2
    ├── WorkFailed       a command could not do its work: say why, exit with 1
    ├── DatabaseAway     the database can't be reached: a store gets 503 and sends again, a sender waits
    └── LeaseLost        another sender has taken over: send nothing more

A payload that lacks something is not an error of the adapter: `mappings.Rejected` becomes part of its delivery. Drip's answer is a
value: `delivery.answers.Answer`.
"""


class AdapterError(Exception):
    """Base of all errors that somebody is expected to act on; the message is for people."""


class SettingsError(AdapterError):
    """The settings can't be used. The message contains every problem and the variable to change."""


class WorkFailed(AdapterError):  # noqa: N818 - reads as what it is in `except`
    """A command could not do what it was asked to do."""


class DatabaseAway(AdapterError):  # noqa: N818
    """The database can't be reached. Nothing was committed, or it is unknown whether it was."""


class LeaseLost(AdapterError):  # noqa: N818
    """The lease for an account has expired, or another sender holds it."""
