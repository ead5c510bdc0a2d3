"""In which order accounts get a thread."""

from collections import deque


class Turns:
    """A queue of accounts. Those whose last request Drip did not answer are doubtful: only a few of them have a turn at the same time.

    Used under the dispatcher's lock.
    """

    def __init__(self, most_doubtful: int) -> None:
        self._sound: deque[str] = deque()
        self._doubtful: deque[str] = deque()
        self._in_hand: set[str] = set()
        """The doubtful accounts that have their turn."""
        self._most_doubtful = most_doubtful

    @property
    def ready(self) -> int:
        """How many accounts may have a turn now."""
        return len(self._sound) + min(len(self._doubtful), self._most_doubtful - len(self._in_hand))

    def add(self, account: str, *, is_doubtful: bool) -> None:
        """Put an account at the end of its queue."""
        (self._doubtful if is_doubtful else self._sound).append(account)

    def take(self) -> str:
        """The next account, if any is ready. Doubtful ones go first, since there are few at a time: so that they do get their turn."""
        if self._doubtful and len(self._in_hand) < self._most_doubtful:
            account = self._doubtful.popleft()
            self._in_hand.add(account)
            return account
        return self._sound.popleft()

    def ended(self, account: str) -> None:
        """An account's turn is over."""
        self._in_hand.discard(account)
