"""Which names agents are offered under."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.agent import Agent, ConfiguredAgent
from domain.model.roster import Roster, build


def agents(*names: str) -> list[Agent]:
    return [Agent(f"agent-{number}", name, number) for number, name in enumerate(names)]


def names(roster: Roster) -> list[str]:
    return [model.name for model in roster.models]


def test_an_agent_is_offered_by_its_name() -> None:
    assert names(build(agents("anna", "bert"))) == ["anna", "bert"]


def test_a_name_that_is_shared_empty_or_an_id_gives_way_to_the_id() -> None:
    roster = build(agents("twin", "", "twin", "agent-0", "fine"))
    assert names(roster) == ["agent-0", "agent-1", "agent-2", "agent-3", "fine"]
    assert roster.resolve("twin") is None


@pytest.mark.parametrize("missing", [None, ""])
def test_no_name_is_the_first_agent(missing: str | None) -> None:
    model = build(agents("anna", "bert")).resolve(missing)
    assert model is not None
    assert model.name == "anna"
    assert build([]).resolve(missing) is None


def test_with_agents_configured_only_those_are_on_offer_in_that_order() -> None:
    roster = build(agents("anna", "bert", "carl"), [ConfiguredAgent("carl"), ConfiguredAgent("anna")])
    assert names(roster) == ["carl", "anna"]
    assert roster.resolve("bert") is None


def test_a_configured_name_wins_and_letta_s_own_name_and_id_resolve_too() -> None:
    roster = build(agents("anna", "bert"), [ConfiguredAgent("helper", "agent-1")])
    assert [roster.resolve(each) for each in ("helper", "bert", "agent-1")] == [roster.models[0]] * 3
    assert names(roster) == ["helper"]


def test_an_id_alone_is_offered_by_the_agent_s_name() -> None:
    assert names(
        build(agents("anna", "twin", "twin"), [ConfiguredAgent(id="agent-0"), ConfiguredAgent(id="agent-1")])
    ) == [
        "anna",
        "agent-1",
    ]


def test_configured_agents_that_are_missing_or_ambiguous_are_reported_and_the_others_work() -> None:
    configured = [
        ConfiguredAgent("nobody"),
        ConfiguredAgent("twin"),
        ConfiguredAgent("x", "agent-9"),
        ConfiguredAgent("anna"),
    ]
    roster = build(agents("twin", "twin", "anna"), configured)
    assert names(roster) == ["anna"]
    assert [missing.candidates for missing in roster.missing] == [(), ("agent-0", "agent-1"), ()]
    assert [roster.missed(name) for name in ("nobody", "twin", "agent-9", "x", "anna", "other")] == [True] * 4 + [
        False
    ] * 2


some_names = st.lists(st.sampled_from(["", "a", "b", "c", "agent-0", "agent-1", "agent-2"]), max_size=8)


@given(own=some_names)
def test_names_never_collide_and_every_agent_is_reachable_by_its_id(own: list[str]) -> None:
    roster = build(agents(*own))
    assert len(set(names(roster))) == len(own)
    for model in roster.models:
        assert roster.resolve(model.name) == model
        assert roster.resolve(model.agent.id) == model


@given(own=some_names, wanted=st.lists(st.tuples(st.sampled_from("abcxyz"), st.none() | st.integers(0, 8)), min_size=1))
def test_a_configured_name_is_always_that_agent(own: list[str], wanted: list[tuple[str, int | None]]) -> None:
    configured = [
        ConfiguredAgent(name, None if number is None else f"agent-{number}") for name, number in dict(wanted).items()
    ]
    roster = build(agents(*own), configured)
    for model in roster.models:
        assert roster.resolve(model.name) == model
    assert len(roster.models) + len(roster.missing) == len(configured)
