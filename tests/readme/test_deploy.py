"""The files in deploy/, checked for form: no container engine is at hand."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose/*.yml"))


def read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return data


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_is_whole(path: Path) -> None:
    data = read(path)
    services = data["services"]
    for name, service in services.items():
        assert service.get("image") or service.get("build"), name
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy"
            assert services[other]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            exists = (path.parent / source).exists() if source.startswith((".", "/")) else source in data["volumes"]
            assert exists, f"{name}: {volume}"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "only this machine, unless somebody wants more"


def test_replicas_share_a_state_and_are_balanced() -> None:
    path = DEPLOY / "compose" / "replicas.yml"
    services = read(path)["services"]
    replicas = [name for name in services if name.startswith("lettabot")]
    assert len(replicas) == 2
    balancer = (path.parent / "replicas.nginx.conf").read_text()
    for name in replicas:
        assert "postgresql://" in services[name]["environment"]["LETTABOT_CONFIG_YAML"]
        assert f"server {name}:8080" in balancer
    assert balancer.count("{") == balancer.count("}")
    # A POST that a replica has taken must never be sent to another one.
    assert re.search(r"proxy_next_upstream error;", balancer)
    assert "non_idempotent" not in balancer
    assert "proxy_buffering off" in balancer
