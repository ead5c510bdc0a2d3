"""The command `drip-adapter`, and `python -m adapter`, which is the same also where only requirements.txt was installed."""

import sys

from adapter.tracebacks import show_uncaught


def run() -> None:
    """Run one command of the command line, or one of the processes that `serve` consists of."""
    show_uncaught()
    if sys.argv[1:2] == ["supervise"]:  # what `serve` becomes; Click stays out of what lives as long as the adapter
        from adapter.monitoring import logs  # noqa: PLC0415
        from adapter.process.supervisor import supervise  # noqa: PLC0415

        logs.set_up("INFO")
        sys.exit(supervise(sys.argv[2]))
    elif sys.argv[1:2] == ["isolated"]:  # the other side of `adapter.process.isolation.Isolated`
        from adapter.process.isolation import serve_calls  # noqa: PLC0415

        serve_calls(int(sys.argv[2]), sys.argv[3])
    else:
        from adapter.cli import main  # noqa: PLC0415
        from adapter.cli.streams import prepare_streams, release_streams  # noqa: PLC0415

        prepare_streams()
        try:
            main(prog_name="drip-adapter")
        finally:
            release_streams()


if __name__ == "__main__":
    run()
