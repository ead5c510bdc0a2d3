"""What is wrong with the settings, all of it in one message."""

from environs import Env, EnvValidationError

from adapter.errors import SettingsError
from mappings import dotted


class SettingsProblems:
    """Collects every problem, so that all of them can be fixed in one go."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, setting: str, why: str) -> None:
        self.messages.append(f"{setting}: {why}")

    def add_environ(self, env: Env) -> None:
        try:
            env.seal()
        except EnvValidationError as error:
            for setting, why in dotted(error.error_messages).items():
                self.add(setting, " ".join(why))

    def raise_if_any(self) -> None:
        if self.messages:
            raise SettingsError("\n".join(self.messages))
