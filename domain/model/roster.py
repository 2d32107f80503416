"""The roster: the agents on offer, and the collision-free map from model name to agent. The rules stand in `build`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from domain.model.agent import Agent, ConfiguredAgent
from domain.model.api_key import Caller


class Model(msgspec.Struct, frozen=True):
    """An agent under the name by which clients ask for it."""

    name: str
    agent: Agent


class Missing(msgspec.Struct, frozen=True):
    """A configured agent that the backend does not have, or has more than once."""

    wanted: ConfiguredAgent
    candidates: tuple[str, ...] = ()
    """The ids of all that it may be."""


class Roster(msgspec.Struct, frozen=True):
    """The agents on offer."""

    models: tuple[Model, ...] = ()
    """In the order in which they are offered."""
    missing: tuple[Missing, ...] = ()
    by_name: Mapping[str, Model] = {}
    """Holds the names for clients, the ids and, where they are unambiguous, the agents' own names."""

    def resolve(self, name: str | None) -> Model | None:
        """The model of that name or agent id; the first one for None and for the empty string."""
        if not name:
            return self.models[0] if self.models else None
        return self.by_name.get(name)

    def of(self, caller: Caller) -> Sequence[Model]:
        """What this caller may ask."""
        return [model for model in self.models if caller.may_ask(model.name, model.agent)]

    def missed(self, name: str | None) -> bool:
        """Whether this name is configured, but no single agent stands behind it."""
        return any(name in (missing.wanted.name, missing.wanted.id) for missing in self.missing)


def build(agents: Sequence[Agent], configured: Sequence[ConfiguredAgent] = ()) -> Roster:
    """Decide names (rule of this service).

    An agent is advertised by its name if that is unique, not empty, and not some agent's id; else by its id. A
    configured name wins. With agents configured only those are on offer, in that order; else all, as they come.
    """
    missing: list[Missing] = []
    if configured:
        models = list(_on_offer(agents, configured, missing))
    else:
        models = [Model(name, agent) for name, agent in zip(_default_names(agents), agents, strict=True)]
    by_name: dict[str, Model] = {}
    for model in models:
        by_name.setdefault(model.name, model)
    for model in models:
        by_name.setdefault(model.agent.id, model)
    shared = Counter(model.agent.name for model in models)
    for model in models:
        if model.agent.name and shared[model.agent.name] == 1:
            by_name.setdefault(model.agent.name, model)
    return Roster(tuple(models), tuple(missing), by_name)


def _default_names(agents: Sequence[Agent]) -> list[str]:
    taken = Counter(agent.name for agent in agents)
    taken.update(agent.id for agent in agents)
    return [agent.name if agent.name and taken[agent.name] == 1 else agent.id for agent in agents]


def _on_offer(
    agents: Sequence[Agent], configured: Sequence[ConfiguredAgent], missing: list[Missing]
) -> Iterable[Model]:
    default_names = dict(zip((agent.id for agent in agents), _default_names(agents), strict=True))
    for wanted in configured:
        found = [agent for agent in agents if (agent.id == wanted.id if wanted.id else agent.name == wanted.name)]
        if len(found) == 1:
            yield Model(wanted.name or default_names[found[0].id], found[0])
        else:
            missing.append(Missing(wanted, tuple(agent.id for agent in found)))
