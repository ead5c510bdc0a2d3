"""One module for each command: `drip-adapter NAME` is `command` in NAME.py, which is imported only when that command is called."""
