"""`python -m adapter` is the command `drip-adapter`, also where only requirements.txt was installed."""

from adapter.cli import main

main(prog_name="drip-adapter")
