"""The stand-in for Drip."""

from adapter.sandbox.app import create_sandbox
from adapter.sandbox.running import RunningSandbox, running_sandbox
from adapter.sandbox.state import Received, Seen

__all__ = ["Received", "RunningSandbox", "Seen", "create_sandbox", "running_sandbox"]
