"""A part that `serve` started ends with it."""

import os
import signal
import threading
import time

_POLL_S = 1.0


def end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, so that a killed `serve` leaves nothing behind that holds its port."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
