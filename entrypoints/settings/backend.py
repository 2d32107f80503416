"""Which backend the settings ask for. Half of a Letta configuration is an error, never a fall-back to embedded."""

import msgspec

from domain.model.agent import ConfiguredAgent
from entrypoints.settings.model import Mode, SettingsError

LETTA_CLOUD = "https://api.letta.com"

_GET_KEY = "Set LETTA_API_KEY (or server.apiKey in lettabot.yaml) to a key from https://app.letta.com"
_SET_URL = "set LETTA_BASE_URL (or server.baseUrl in lettabot.yaml) to its URL, such as http://localhost:8283"


class Backend(msgspec.Struct, frozen=True):
    """Where the agents are."""

    mode: Mode
    api_key: str | None = None
    base_url: str = ""
    ignored_url: str | None = None
    """A base URL that was given, but that this mode does not use."""

    def __repr__(self) -> str:
        return f"Backend(mode={self.mode.value!r}, base_url={self.base_url!r}, ...)"


def choose_backend(
    mode: Mode | None, api_key: str | None, base_url: str | None, agents: tuple[ConfiguredAgent, ...]
) -> Backend:
    """The mode that was asked for, else the one that the rest implies. Raises `SettingsError`."""
    match mode or _implied(api_key, base_url, agents):
        case Mode.EMBEDDED:
            for agent in agents:
                if agent.name is None:
                    raise SettingsError(
                        f"The agent {agent.id} has no name, and ids are Letta's: in embedded mode, give it a name, "
                        "or leave agents out."
                    )
            return Backend(Mode.EMBEDDED)
        case Mode.DOCKER:
            if base_url is None:
                raise SettingsError(f"Mode docker needs to know your Letta server: {_SET_URL}.")
            return Backend(Mode.DOCKER, api_key, base_url)
        case Mode.API:
            if api_key is None:
                raise SettingsError(f"Mode api (Letta Cloud) needs a key. {_GET_KEY}.")
            return Backend(Mode.API, api_key, LETTA_CLOUD, None if base_url == LETTA_CLOUD else base_url)


def _implied(api_key: str | None, base_url: str | None, agents: tuple[ConfiguredAgent, ...]) -> Mode:
    if base_url is not None:
        # The old LettaBot's users were told to set it to this, too.
        return Mode.API if base_url == LETTA_CLOUD else Mode.DOCKER
    if api_key is not None:
        return Mode.API
    if agents:
        raise SettingsError(
            f"Agents are configured, but no Letta to find them in. {_GET_KEY}; for a Letta server of your own, "
            f"{_SET_URL}; for the embedded agent, set server.mode to embedded."
        )
    return Mode.EMBEDDED
