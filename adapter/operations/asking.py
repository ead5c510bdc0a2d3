"""Asks many servers, a few at the same time, for a limited time in all."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def ask_each(
    whom: Sequence[Asked], ask: Callable[[Asked], Answer], *, at_once: int, within_s: float
) -> Iterator[tuple[Asked, Answer | BaseException]]:
    """Each with its answer or the exception that asking raised, as they come in; ends when all have answered or the time is over.

    Whoever has not answered by then is left alone: its thread ends by itself, and nobody waits for it.
    """
    todo, done = queue.SimpleQueue[Asked](), queue.SimpleQueue[tuple[Asked, Answer | BaseException]]()
    for each in whom:
        todo.put(each)
    until = time.monotonic() + within_s

    def work() -> None:
        while time.monotonic() < until:
            try:
                each = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((each, ask(each)))
            except BaseException as error:  # noqa: BLE001 - raised or reported by the caller, in its own thread
                done.put((each, error))

    for _ in range(min(at_once, len(whom))):
        threading.Thread(target=work, name="asking", daemon=True).start()
    for _ in whom:
        try:
            yield done.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return
