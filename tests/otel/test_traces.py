"""Traces of a real service, in front of a very small Letta, as a collector receives them."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.cli.fake_letta import ANNA, FAILING, FakeLetta
from tests.cli.processes import PATIENCE, Place, Running, wait_until
from tests.otel.collector import Collector, attributes

KEY = "key-that-nobody-else-may-see"
CHAT = "chat-of-a-person"
TEXT = "words for the agent only"
COMPLETIONS = "POST /v1/chat/completions"
TURN = "invoke_agent anna"


def trace_of(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.clear()


def serve(place: Place, letta: FakeLetta, endpoint: str, *arguments: str, **environment: str) -> Running:
    return place.serve(
        *arguments,
        LETTABOT_API_KEY=KEY,
        LETTA_BASE_URL=letta.url,
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        OTEL_SERVICE_NAME="front door",
        **environment,
    )


def ask(server: Running, text: str, trace: int | None = None, key: str = KEY, **more: str | bool) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}", "X-Chat-Id": CHAT}
    if trace is not None:
        headers |= {"traceparent": f"00-{trace_of(trace)}-00000000000000aa-01", "baggage": f"person={CHAT}"}
    if "idempotency_key" in more:
        headers["Idempotency-Key"] = str(more.pop("idempotency_key"))
    body = {"model": "anna", "messages": [{"role": "user", "content": text}], **more}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE, verify=False)


def events(span: Span) -> list[str]:
    return [event.name for event in span.events]


def test_each_request_is_one_trace_from_the_client_to_letta_and_no_word_of_it_is_told(place: Place) -> None:
    with Collector() as collector, FakeLetta() as letta:
        server = serve(place, letta, collector.url)
        whole = ask(server, TEXT, 1, idempotency_key="k-1")
        assert whole.status_code == 200, whole.text
        assert ask(server, TEXT, 2, idempotency_key="k-1").json()["choices"] == whole.json()["choices"]
        assert "[DONE]" in ask(server, f"{TEXT}, streamed", 3, stream=True).text
        assert ask(server, FAILING, 4).status_code >= 500
        assert ask(server, TEXT, 5, key="wrong").status_code == 401
        assert ask(server, f"{TEXT}, without a parent").status_code == 200
        httpx.get(f"{server.url}/health/ready", verify=False)
        assert server.stop() == 0, server.err

    for number in (1, 3):
        trace = collector.trace(trace_of(number))
        assert set(trace) == {COMPLETIONS, "auth", TURN, "wait", "delivery"}
        request, turn = trace[COMPLETIONS], trace[TURN]
        assert request.kind == Span.SPAN_KIND_SERVER
        assert request.parent_span_id.hex() == "00000000000000aa"
        assert trace["auth"].parent_span_id == turn.parent_span_id == request.span_id
        assert trace["wait"].parent_span_id == trace["delivery"].parent_span_id == turn.span_id
        assert trace["wait"].end_time_unix_nano == trace["delivery"].start_time_unix_nano
        assert events(turn) == ["first word", "end"]
        assert attributes(request)["http.route"] == "/v1/chat/completions"
        assert attributes(request)["http.response.status_code"] == 200
        told = attributes(turn)
        assert told["gen_ai.operation.name"] == "invoke_agent"
        assert (told["gen_ai.provider.name"], told["gen_ai.agent.id"]) == ("letta", ANNA)
        assert len(told["gen_ai.conversation.id"]) == 32
        told_to_letta = {headers.get("traceparent") for headers in letta.headers}
        assert f"00-{trace_of(number)}-{turn.span_id.hex()}-01" in told_to_letta

    retry = collector.trace(trace_of(2))
    assert set(retry) == {COMPLETIONS, "auth"}
    assert [link.trace_id.hex() for link in retry[COMPLETIONS].links] == [trace_of(1)]
    assert attributes(retry[COMPLETIONS])["lettabot.prevented_by"] == "idempotency_key"

    failed = collector.trace(trace_of(4))
    assert failed[TURN].status.code == failed[COMPLETIONS].status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed[TURN])["error.type"] == failed[TURN].status.message != ""

    refused = collector.trace(trace_of(5))
    assert set(refused) == {COMPLETIONS, "auth"}
    assert refused["auth"].status.code == Status.STATUS_CODE_ERROR

    assert len(collector.named(COMPLETIONS)) == 6
    assert not [span for span in collector.spans if "health" in span.name]
    assert {each["service.name"] for each in collector.resources} == {"front door"}
    assert all("baggage" not in headers for headers in letta.headers)
    exported = b"".join(collector.received)
    for secret in (KEY, CHAT, TEXT, FAILING, "You said"):
        assert secret.encode() not in exported


def test_a_collector_that_is_away_fails_nothing_and_is_told_of_once(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, FakeLetta() as letta:
        # It takes connections, and never answers.
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        server = serve(
            place, letta, endpoint, OTEL_BSP_SCHEDULE_DELAY="10", OTEL_EXPORTER_OTLP_TIMEOUT="1", LOG_FORMAT="json"
        )
        for number in range(3):
            assert ask(server, f"{TEXT} {number}", number + 1).status_code == 200
        server.wait_for("Traces are lost")
        assert ask(server, f"{TEXT} again").status_code == 200
        assert server.stop() == 0, server.err
    assert len([line for line in server.log if line["level"] == "warning"]) == 1
    assert json.dumps(server.log).count("opentelemetry") <= 1


@pytest.mark.state
def test_each_worker_sends_its_own_spans(place: Place) -> None:
    with Collector() as collector, FakeLetta() as letta:
        server = serve(place, letta, collector.url, "--workers", "2", OTEL_BSP_SCHEDULE_DELAY="50")
        asked = 0

        def both() -> bool:
            nonlocal asked
            asked += 1
            assert ask(server, f"{TEXT} {asked}", asked).status_code == 200
            return len({each["lettabot.worker"] for each in collector.resources}) == 2

        wait_until(both, "spans of both workers")
        assert server.stop() == 0, server.err
    assert len(collector.named(COMPLETIONS)) == len(collector.named(TURN)) == asked
    assert len({each["service.instance.id"] for each in collector.resources}) == 2


def test_without_an_endpoint_nothing_is_imported_and_nothing_is_told_to_letta(place: Place) -> None:
    with FakeLetta() as letta:
        server = serve(place, letta, "", PYTHONPROFILEIMPORTTIME="1")
        assert ask(server, TEXT, 1).status_code == 200
        assert server.stop() == 0
    # Litestar looks for names in a part of it that only has names.
    assert "opentelemetry.sdk" not in server.err
    assert "opentelemetry.exporter" not in server.err
    assert "adapters.otel" not in server.err
    assert "traceparent" not in letta.headers[0]


WITHOUT_THE_EXTRA = """
import sys

sys.modules["opentelemetry.sdk"] = sys.modules["opentelemetry.exporter"] = None
from entrypoints.cli import main

main()
"""


def test_without_the_extra_the_service_works_and_says_what_to_install(place: Place) -> None:
    with FakeLetta() as letta:
        server = place.serve(
            command=(sys.executable, "-c", WITHOUT_THE_EXTRA),
            LETTABOT_API_KEY=KEY,
            LETTA_BASE_URL=letta.url,
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        )
        assert ask(server, TEXT).status_code == 200
        assert server.stop() == 0
    assert server.err.count("pip install lettabot[otel]") == 1
