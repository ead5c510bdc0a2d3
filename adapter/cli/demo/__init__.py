"""The demo: the real adapter on a fresh SQLite file, with the sandbox in Drip's place.

`story` shows a few orders and what becomes of each change, `fixtures` every fixture; `running` starts the adapter for both. Nothing else
in the project uses this package.
"""
