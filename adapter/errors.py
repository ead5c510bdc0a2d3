"""What can go wrong, sorted by what is done about it.

    AdapterError
    ├── SettingsError    wrong settings or wrong use: say which setting to change, exit 2
    ├── WorkFailed       the work a command was asked for failed: say why, exit 1
    ├── DatabaseAway     no connection: the store gets 503 and tries again; a sender waits
    └── LeaseLost        another sender has taken over: send nothing more

What a payload lacks is no error of ours: `mappings.Rejected` goes into the delivery. How Drip answered is a value: `delivery.drip.Answer`.
"""


class AdapterError(Exception):
    """Base of all errors that somebody is expected to act on; the message is for people."""


class SettingsError(AdapterError):
    """Settings that cannot be run with; the message names every fault and the variable to change."""


class WorkFailed(AdapterError):  # noqa: N818 - reads as what it is in `except`
    """A command could not do what it was asked for."""


class DatabaseAway(AdapterError):  # noqa: N818
    """The database cannot be reached; nothing was committed, or it is not known whether it was."""


class LeaseLost(AdapterError):  # noqa: N818
    """The lease of an account ran out or is held by another sender."""
