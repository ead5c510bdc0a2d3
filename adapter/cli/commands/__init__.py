"""One module for each command: `drip-adapter NAME` is `command` in NAME.py, imported only when that command is called.

What several commands share is in `adapter.cli`.
"""
