"""The compose files in deploy/, checked for form: no container engine is at hand."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose/*.yml"))


def read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return data


def checks_of_image(name: str) -> bool:
    """Whether an image of ours has a health check of its own."""
    return re.search("^HEALTHCHECK", (DEPLOY / name).read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_is_what_the_specification_allows(path: Path) -> None:
    # Its schema of the Compose specification comes with it.
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_a_compose_file_is_whole(path: Path) -> None:
    data = read(path)
    services = data["services"]
    for name, service in services.items():
        assert service.get("image") or service.get("build"), name
        if build := service.get("build"):
            assert (path.parent / build["context"] / build["dockerfile"]).exists()
        for other, condition in service.get("depends_on", {}).items():
            assert condition["condition"] == "service_healthy"
            if services[other].get("image") == "lettabot":
                assert checks_of_image("Dockerfile")
            else:
                assert services[other]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            exists = (path.parent / source).exists() if source.startswith((".", "/")) else source in data["volumes"]
            assert exists, f"{name}: {volume}"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "only this machine, unless somebody wants more"


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_lettabot_has_no_more_rights_than_it_needs_and_time_to_end(path: Path) -> None:
    data = read(path)
    assert data["name"].startswith("lettabot"), "or all files would be one project, and share their volumes"
    ours = [service for service in data["services"].values() if service.get("image") == "lettabot"]
    assert ours
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "user" not in service
        writable = [place.split(":")[0] for place in service["tmpfs"]]
        assert "/tmp" in writable
        assert "/data" in writable or any(volume.endswith(":/data") for volume in service["volumes"])
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace >= int(service["environment"]["LETTABOT_SHUTDOWN_SECONDS"]) + 10
    for service in data["services"].values():
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_no_secret_is_written_into_a_compose_file(path: Path) -> None:
    for name, service in read(path)["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("KEY|TOKEN|SECRET|PASSWORD", variable):
                assert re.fullmatch(r"\$\{[A-Z_]+:[-?][^}]*\}", value), f"{name}: {variable}"


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
