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


def qualified(backend: str, name: str) -> str:
    """The name under which an agent can always be asked for, whatever other backends have."""
    return f"{backend}/{name}"


def build(agents: Sequence[Agent], configured: Sequence[ConfiguredAgent] = (), first_backend: str = "") -> Roster:
    """Decide names (rule of this service).

    An agent is advertised by its name if that is unique in its backend, not empty, and not some agent's id; else by its
    id. What an agent of an earlier backend is advertised by, a later one has with its backend's name before it. A
    configured name wins. With agents configured only those are on offer, in that order; else all, as they come.
    """
    missing: list[Missing] = []
    if configured:
        models = list(_on_offer(agents, configured, missing, first_backend))
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
    shared_here = Counter((model.agent.backend, model.agent.name) for model in models)
    for model in models:
        backend = model.agent.backend or first_backend
        by_name.setdefault(qualified(backend, model.agent.id), model)
        if model.agent.name and shared_here[model.agent.backend, model.agent.name] == 1:
            by_name.setdefault(qualified(backend, model.agent.name), model)
    return Roster(tuple(models), tuple(missing), by_name)


def _default_names(agents: Sequence[Agent]) -> list[str]:
    of_backend: dict[str, Counter[str]] = {}
    for agent in agents:
        of_backend.setdefault(agent.backend, Counter()).update({agent.name: 1})
        of_backend[agent.backend].update({agent.id: 1})
    taken: dict[str, set[str]] = {}
    names: list[str] = []
    for agent in agents:
        is_clear = agent.name and of_backend[agent.backend][agent.name] == 1
        name = agent.name if is_clear else agent.id
        if any(name in others for backend, others in taken.items() if backend != agent.backend):
            name = qualified(agent.backend, name)
        taken.setdefault(agent.backend, set()).add(name)
        names.append(name)
    return names


def _on_offer(
    agents: Sequence[Agent], configured: Sequence[ConfiguredAgent], missing: list[Missing], first_backend: str
) -> Iterable[Model]:
    default_names = dict(zip((agent.key for agent in agents), _default_names(agents), strict=True))
    for wanted in configured:
        found = [
            agent
            for agent in agents
            if (agent.id == wanted.id if wanted.id else agent.name == wanted.name)
            and wanted.backend in (None, agent.backend or first_backend)
        ]
        if len({agent.backend for agent in found}) > 1:
            # The first backend that has it, as in the rule for names.
            found = [agent for agent in found if agent.backend == found[0].backend]
        if len(found) == 1:
            yield Model(wanted.name or default_names[found[0].key], found[0])
        else:
            missing.append(Missing(wanted, tuple(agent.id for agent in found)))
