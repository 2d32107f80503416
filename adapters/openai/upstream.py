"""One server with OpenAI's API: its list of models, and one chat completion for each turn, sent once."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from adapters.openai.failures import failure_of_connection, failure_of_status
from adapters.openai.stream import CompletionStream
from domain.model.agent import Agent
from domain.model.events import Accepted, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.history import Said
from domain.model.turn import Image, Turn, UserMessage
from ports.outgoing_context import OutgoingContext

# Seconds. Models think for long before the first word.
CONNECT = 5.0
SILENCE = 300.0
QUESTION = 15.0
# Bytes of a list of models.
LARGEST_LIST = 20_000_000


# Bytes of the answer with its content type; why there are no more; None at its end.
_Received = tuple[str, bytes] | FailureError | httpx.HTTPError | None


_CHAT = "chat-"


class _Model(msgspec.Struct, frozen=True):
    id: str
    created: Any = 0


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model]


class Upstream:
    """`base_url`: to which the API's paths are added. `models`: the only ones on offer; none: all. `prefix` stands
    before their names. `system`: the system message before all others. `outgoing`: headers of each request."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        models: Sequence[str] = (),
        prefix: str = "",
        system: str | None = None,
        outgoing: OutgoingContext | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(SILENCE, connect=CONNECT, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=2.0),
        )
        if outgoing is not None:
            self._client.event_hooks["request"].append(_telling(outgoing))
        self._models = models
        self._prefix = prefix
        self._first = [{"role": "system", "content": system}] if system else []
        self._reading: dict[str, asyncio.Task[None]] = {}

    async def agents(self) -> Sequence[Agent]:
        try:
            answer = await self._client.get("/models", timeout=QUESTION)
        except httpx.HTTPError as error:
            raise FailureError(Failure(FailureCode.BACKEND_UNAVAILABLE, Delivery.NO, type(error).__name__)) from error
        if answer.status_code != 200:
            raise FailureError(_of_question(failure_of_status(answer)))
        try:
            models = msgspec.json.decode(answer.content[:LARGEST_LIST], type=_Models).data
        except (msgspec.DecodeError, RecursionError):
            cause = "its list of models cannot be read"
            raise FailureError(Failure(FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO, cause)) from None
        offered = {model.id: model for model in models if not self._models or model.id in self._models}
        agents = [Agent(each.id, f"{self._prefix}{each.id}", _seconds(each.created)) for each in offered.values()]
        return sorted(agents, key=lambda agent: agent.created_at)

    async def open_chat(self, agent: Agent) -> str:
        """A new name for a chat with this model."""
        if agent.id not in {each.id for each in await self.agents()}:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO, f"no model {agent.id}"))
        return f"{_CHAT}{uuid.uuid4()}"

    async def run(
        self, turn: Turn, earlier: Sequence[Said] = (), headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[TurnEvent, None]:
        """Send the message, once, after what was said earlier; the events of the answer."""
        before = [{"role": said.role, "content": said.text} for said in earlier]
        messages = [*self._first, *before, _user_message(message_of(turn))]
        body = {"model": turn.agent.id, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        sent = {**(headers or {}), "Content-Type": "application/json", "Accept": "text/event-stream"}
        if turn.delivery_id is not None:
            sent["Idempotency-Key"] = turn.delivery_id
        received: asyncio.Queue[_Received] = asyncio.Queue()
        # A task of its own, so that a stop ends the reading, and nothing else.
        reading = asyncio.create_task(self._read(msgspec.json.encode(body), sent, received))
        self._reading[turn.delivery_id or ""] = reading
        stream: CompletionStream | None = None
        try:
            while (item := await received.get()) is not None:
                if isinstance(item, FailureError):
                    raise item
                if isinstance(item, httpx.HTTPError):
                    raise FailureError(failure_of_connection(item, stream is not None)) from item
                content_type, data = item
                if stream is None:
                    stream = CompletionStream("event-stream" in content_type)
                    yield Accepted(turn.delivery_id)
                for event in stream.feed(data):
                    yield event
                if stream.is_done:
                    break
            if stream is None:
                raise FailureError(Failure(FailureCode.DELIVERY_UNKNOWN, Delivery.UNKNOWN, "an empty answer"))
            for event in stream.end():
                yield event
        finally:
            self._reading.pop(turn.delivery_id or "", None)
            reading.cancel()

    async def cancel(self, turn: Turn, run_id: str) -> None:
        """Close the connection of that delivery, which is how such servers are told to stop."""
        if (reading := self._reading.get(run_id)) is not None:
            reading.cancel()

    async def _read(self, body: bytes, headers: Mapping[str, str], received: "asyncio.Queue[_Received]") -> None:
        try:
            async with self._client.stream("POST", "/chat/completions", content=body, headers=headers) as answer:
                if answer.status_code != 200:
                    received.put_nowait(FailureError(failure_of_status(answer)))
                    return
                content_type = answer.headers.get("content-type", "")
                if "html" in content_type:
                    cause = "it answered with a page"
                    received.put_nowait(FailureError(Failure(FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO, cause)))
                    return
                async for data in answer.aiter_bytes():
                    received.put_nowait((content_type, data))
                received.put_nowait(None)
        except httpx.HTTPError as error:
            received.put_nowait(error)
        except asyncio.CancelledError:
            received.put_nowait(FailureError(Failure(FailureCode.CANCELLED, Delivery.YES, "it was stopped")))

    async def close(self) -> None:
        await self._client.aclose()


def _telling(outgoing: OutgoingContext) -> Callable[[httpx.Request], Awaitable[None]]:
    async def tell(request: httpx.Request) -> None:
        request.headers.update(outgoing())

    return tell


def is_chat(name: str) -> bool:
    """Whether it may be the name of a chat that was opened here."""
    return name.startswith(_CHAT)


def message_of(turn: Turn) -> UserMessage:
    """Raises `FailureError`: these servers take no verdicts."""
    if turn.message is None:
        raise FailureError(Failure(FailureCode.UNSUPPORTED_CONTENT, Delivery.NO, "there is no message"))
    return turn.message


def _user_message(message: UserMessage) -> Mapping[str, Any]:
    """As OpenAI's API has it."""
    if not message.images:
        return {"role": "user", "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text.strip() else []
    for image in message.images:
        url = f"data:{image.media_type};base64,{image.data}" if isinstance(image, Image) else image.url
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": "user", "content": parts}


def _of_question(failure: Failure) -> Failure:
    """A question about models delivers nothing, and there is no agent that it could be about."""
    if failure.code in (FailureCode.MODEL_NOT_FOUND, FailureCode.UNSUPPORTED_CONTENT, FailureCode.CONVERSATION_BUSY):
        return Failure(FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO, failure.cause)
    return msgspec.structs.replace(failure, delivery=Delivery.NO)


def _seconds(created: Any) -> int:
    return int(created) if isinstance(created, int | float) and 0 <= created < 1e12 else 0
