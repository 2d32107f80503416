"""The lab itself: a real Letta server that keeps what it is told, over a restart too, and that guards its password."""

import json
import urllib.error
import urllib.request

import pytest

from tests.letta_server.admin import LettaAdmin
from tests.letta_server.lab import LettaLab

pytestmark = pytest.mark.letta


def say(lab: LettaLab, agent_id: str, text: str) -> None:
    """A message to the agent as Letta's own REST API takes it, with neither the product nor an SDK in between."""
    body = json.dumps({"messages": [{"role": "user", "content": text}]}).encode()
    url = f"{lab.base_url}/v1/agents/{agent_id}/messages"
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=60):
        pass


def test_a_message_is_asked_of_the_model_and_kept_once(lab: LettaLab, admin: LettaAdmin) -> None:
    agent = admin.create_agent("lab agent")
    say(lab, agent, "[[say scripted]]")
    assert admin.user_messages(agent) == ["[[say scripted]]"]
    assert lab.stub_log.read_text().count("[[say scripted]]") == 1
    assert any(message.get("content") == "scripted" for message in admin.messages(agent))


def test_agents_outlive_a_restart_that_sets_a_password(lab: LettaLab, admin: LettaAdmin) -> None:
    agent = admin.create_agent("lab survivor")
    say(lab, agent, "before")
    lab.stop_letta()
    with pytest.raises(urllib.error.URLError):
        admin.user_messages(agent)
    try:
        lab.api_key = "lab-password"
        lab.start_letta()
        assert LettaAdmin(lab.base_url, "lab-password").user_messages(agent) == ["before"]
        for key in ("wrong-password", None):
            with pytest.raises(urllib.error.HTTPError) as refused:
                LettaAdmin(lab.base_url, key).messages(agent)
            assert refused.value.code == 401
    finally:
        # The tests that follow share this server, and have no password.
        lab.stop_letta()
        lab.api_key = None
        lab.start_letta()
