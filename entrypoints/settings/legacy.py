"""The old LettaBot kept its agents' ids in lettabot-agent.json; a configured name without an id finds its id there."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.file_trust import look_at
from domain.model.agent import ConfiguredAgent
from entrypoints.settings import texts
from entrypoints.settings.errors import SettingsError
from entrypoints.settings.model import Notice

FILE = "lettabot-agent.json"


class _Remembered(msgspec.Struct, frozen=True, rename="camel"):
    agent_id: str | None = None
    base_url: str | None = None


class _AgentFile(_Remembered, frozen=True, rename="camel"):
    """Version 1 held one agent, without a name; version 2 holds agents by name."""

    version: int | None = None
    agents: Mapping[str, _Remembered] = {}


def with_remembered_ids(
    agents: tuple[ConfiguredAgent, ...], data_dir: Path, base_url: str, notices: list[Notice]
) -> tuple[ConfiguredAgent, ...]:
    """The agents, with ids where the file knows them. What is wrong with the file is a notice; only one
    that everybody may write is an error."""
    if all(agent.id for agent in agents):
        return agents
    remembered = _read(data_dir / FILE, agents, notices)
    return tuple(_with_id(agent, remembered, base_url, notices) for agent in agents)


def _with_id(
    agent: ConfiguredAgent, remembered: Mapping[str, _Remembered], base_url: str, notices: list[Notice]
) -> ConfiguredAgent:
    entry = remembered.get(agent.name or "")
    if agent.id or entry is None or not entry.agent_id:
        return agent
    try:
        texts.word(texts.plain(entry.agent_id))
    except ValueError:
        notices.append(Notice("warning", f"{FILE}: what it has for the agent {agent.name} is not an id; not used"))
        return agent
    notices.append(Notice("info", f"{FILE}: the agent {agent.name} is {entry.agent_id}"))
    # As far as the old LettaBot knew, this is where the agent lives.
    if entry.base_url and entry.base_url.rstrip("/") != base_url:
        notices.append(
            Notice(
                "warning",
                f"{FILE}: the agent {agent.name} was made on another Letta server, "
                f"{texts.shown(entry.base_url.rpartition('@')[2])}; "
                "if it is not found, give it its id in lettabot.yaml, or delete this file",
            )
        )
    return msgspec.structs.replace(agent, id=entry.agent_id)


def _read(path: Path, agents: tuple[ConfiguredAgent, ...], notices: list[Notice]) -> Mapping[str, _Remembered]:
    if (finding := look_at(path)) is not None:
        if finding.refused:
            # Not even passed over: then another agent of that name would get the messages.
            raise SettingsError(finding.text)
        notices.append(Notice("warning", finding.text))
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_AgentFile)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError, msgspec.DecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        notices.append(Notice("warning", f"{path}: not used, because it cannot be read: {reason}"))
        return {}
    if kept.version == 2:
        return kept.agents
    if kept.version is None and kept.agent_id:
        [name, *others] = [agent.name or "" for agent in agents]
        if not others:
            return {name: kept}
        notices.append(Notice("warning", f"{path}: not used, because it is of one agent, and several are configured"))
    elif kept.version is not None:
        notices.append(Notice("warning", f"{path}: not used, because its version {kept.version} is unknown"))
    return {}
