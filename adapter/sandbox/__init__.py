"""The sandbox: a server that takes Drip's place in demos and tests, and enforces the Order Activity contract.

It shares the contract with the sender and uses nothing else of the adapter.
"""

from adapter.sandbox.app import create_sandbox
from adapter.sandbox.running import RunningSandbox, running_sandbox
from adapter.sandbox.state import Received, Seen

__all__ = ["Received", "RunningSandbox", "Seen", "create_sandbox", "running_sandbox"]
