"""`python -m adapter` is the command `drip-adapter`, also where only requirements.txt was installed."""

import sys

from adapter.tracebacks import show_uncaught

show_uncaught()

if sys.argv[1:2] == ["supervise"]:  # what `serve` becomes; Click and all commands stay out of a process that lives as long as the adapter
    from adapter.monitoring import logs
    from adapter.process.supervisor import supervise

    logs.set_up("INFO")
    sys.exit(supervise(sys.argv[2]))
elif sys.argv[1:2] == ["isolated"]:  # the other side of `adapter.process.isolation.Isolated`
    from adapter.process.isolation import serve_calls

    serve_calls(int(sys.argv[2]), sys.argv[3])
else:
    from adapter.cli import main

    main(prog_name="drip-adapter")
