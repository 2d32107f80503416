"""Metrics of the real service: what they tell, who may ask, that workers are added up, and that dashboard, alerts and
Prometheus itself understand them."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.processes import Place
from tests.letta_server.processes import Processes, free_port

ROOT = Path(__file__).parents[2]
KEY = "k" * 8 + "0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}"}
_SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


def ask(url: str, text: str, **headers: str) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers={**HEADERS, **named}, timeout=30)


def told(text: str) -> dict[str, float]:
    return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in _SERIES.findall(text)}


def metrics_of(url: str) -> str:
    answer = httpx.get(f"{url}/metrics", headers=HEADERS, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def test_metrics_tell_of_requests_turns_and_prevented_deliveries(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY)
    for _ in range(2):
        assert ask(server.url, "add milk to my todo list", idempotency_key="one").status_code == 200
    own_call = [{"role": "user", "content": "x"}, {"role": "tool", "tool_call_id": "call_agent_1", "content": "y"}]
    httpx.post(f"{server.url}/v1/chat/completions", json={"messages": own_call}, headers=HEADERS)
    httpx.request("BREW", f"{server.url}/v1/anything/{'x' * 500}")
    values = told(metrics_of(server.url))
    assert values['lettabot_requests_total{method="POST",route="/v1/chat/completions",status="200"}'] == 3
    assert values['lettabot_turns_total{agent="lettabot",code="",outcome="answered"}'] == 1
    assert values['lettabot_deliveries_total{agent="lettabot"}'] == 1
    assert values['lettabot_deliveries_prevented_total{rule="idempotency_key"}'] == 1
    assert values['lettabot_deliveries_prevented_total{rule="tool_result"}'] == 1
    assert values["lettabot_turns_open"] == values["lettabot_turns_running"] == 0
    assert values['lettabot_backend_up{backend="embedded"}'] == 1
    assert values["lettabot_turn_waiting_seconds_count"] == 1
    assert not [name for name in values if "xxxx" in name or "BREW" in name or KEY in name or "milk" in name]
    assert server.stop() == 0


def test_metrics_want_a_key_that_is_for_all_agents(place: Place) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY)
    limited = place.run("key", "create", "some", "--agents", "lettabot").out.strip()
    scraper = place.run("key", "create", "prometheus").out.strip()
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    time.sleep(1.1)
    for key, status in ((limited, 403), (scraper, 200)):
        answer = httpx.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status


def test_metrics_and_the_portal_can_be_switched_off(place: Place) -> None:
    place.write("lettabot.yaml", "server: {api: {metrics: off, portal: off}}")
    server = place.serve(LETTABOT_API_KEY=KEY)
    assert ask(server.url, "hi").status_code == 200
    for path in ("/metrics", "/portal", "/portal/main.js", "/turns"):
        assert httpx.get(f"{server.url}{path}", headers=HEADERS).status_code == 404


def test_workers_are_added_up_on_a_port_of_their_own(place: Place) -> None:
    port = free_port()
    place.write("lettabot.yaml", f"server: {{api: {{metrics: {port}, workers: 3}}}}")
    server = place.serve(LETTABOT_API_KEY=KEY)
    for number in range(12):
        # A connection of its own, so that any worker may get it.
        assert ask(server.url, f"remember that {number} is a number").status_code == 200
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        values = told(httpx.get(f"{url}/metrics", timeout=30).text)
        if values.get("lettabot_processes") == 3 and values.get("lettabot_process_resident_memory_bytes", 0) > 0:
            break
        assert time.monotonic() < deadline, values
        time.sleep(0.3)
    assert values['lettabot_turns_total{agent="lettabot",code="",outcome="answered"}'] == 12
    assert httpx.get(f"{url}/v1/models", headers=HEADERS).status_code == 404
    assert httpx.get(f"{server.url}/metrics", headers=HEADERS).status_code == 404
    assert server.stop() == 0


def test_a_port_that_is_taken_is_said_in_words(place: Place) -> None:
    first = place.serve(LETTABOT_API_KEY=KEY)
    taken = first.url.rpartition(":")[2]
    place.write("lettabot.yaml", f"server: {{api: {{metrics: {taken}}}}}")
    second = place.start(["server", "--port", "0"], {"LETTABOT_API_KEY": KEY})
    assert second.process.wait(30) == 1
    assert f"Cannot listen on 127.0.0.1:{taken}" in second.err
    assert "server.api.metrics" in second.err


def names_exposed(place: Place) -> set[str]:
    server = place.serve(LETTABOT_API_KEY=KEY)
    ask(server.url, "hi")
    text = metrics_of(server.url)
    families = re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE)
    assert not [name for name, _ in families if not name.startswith("lettabot_")]
    endings = {"histogram": ("_bucket", "_sum", "_count")}
    return {f"{name}{end}" for name, kind in families for end in endings.get(kind, ("",))}


def test_dashboard_and_alerts_use_only_metrics_that_there_are(place: Place) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/lettabot.json").read_text())
    asked = " ".join(
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ()) if panel["type"] != "row"
    )
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text()
    used = set(re.findall(r"\b(lettabot_\w+)\b", asked + " ".join(re.findall(r"expr: (.*)", alerts))))
    exposed = names_exposed(place)
    assert len(used) > 15
    assert used <= exposed
    assert {name for name in exposed if not name.endswith(("_sum", "_count"))} <= used | {"lettabot_requests_total"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed")
def test_promtool_accepts_metrics_alerts_and_example(place: Place, tmp_path: Path) -> None:
    for file in (ROOT / "deploy/prometheus").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "lettabot.key").write_text(KEY)
    for command in (
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
        ["check", "config", "prometheus.yml"],
    ):
        subprocess.run(["promtool", *command], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    server = place.serve(LETTABOT_API_KEY=KEY)
    ask(server.url, "hi")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics_of(server.url), text=True, capture_output=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_a_real_prometheus_scrapes_the_service_as_the_example_says(place: Place, tmp_path: Path) -> None:
    server = place.serve(LETTABOT_API_KEY=KEY)
    ask(server.url, "hi")
    (tmp_path / "lettabot.key").write_text(place.run("key", "create", "prometheus").out.strip())
    example = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    shutil.copy(ROOT / "deploy/prometheus/alerts.yml", tmp_path)
    example = example.replace("127.0.0.1:8080", server.url.removeprefix("http://")).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(example)
    port, processes = free_port(), Processes(tmp_path)
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    processes.start("prometheus", command, {"PATH": "/usr/bin:/bin"})
    try:
        deadline = time.monotonic() + 60
        while not (found := _query(port, "sum(lettabot_turns_total)")):
            assert time.monotonic() < deadline, "Prometheus has not scraped"
            time.sleep(0.5)
        assert float(found[0]["value"][1]) == 1
        assert _query(port, 'up{job="lettabot"}')[0]["value"][1] == "1"
    finally:
        processes.stop("prometheus", signal.SIGTERM, patience=20)


def _query(port: int, expression: str) -> list[dict[str, list[str]]]:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression})
    except httpx.HTTPError:
        return []
    return list(answer.json()["data"]["result"]) if answer.status_code == 200 else []
