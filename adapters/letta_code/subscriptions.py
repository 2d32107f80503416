"""Makes conversations ready to be sent to: both sockets subscribed, and nothing left over from a crash."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress

import msgspec

from adapters.letta_code.connections import Connections
from adapters.letta_code.conversation import OURS, Conversation
from adapters.letta_code.failures import refused, unavailable
from adapters.letta_code.frames import Frame, Runtime, decoder
from adapters.letta_code.socket import AppServerSocket, SocketLostError
from domain.model.failures import FailureError

# Seconds. After a crash of the server all its clients come back: as long as sockets are opened, it may begin again with
# what is left over, so nothing is looked at before they are there.
SETTLED_AFTER = 1.0
# Conversations that are remembered while nothing goes on in them.
MOST_IDLE = 2_000

logger = logging.getLogger(__name__)


class Subscriptions:
    """Of this process. `permissions` is the permission mode of all its conversations."""

    def __init__(self, url: str, token: str | None, permissions: str) -> None:
        self._permissions = permissions
        self._known: dict[Runtime, Conversation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = Connections(url, token, self._take, self._subscribe_again, self._all_lost)

    def of(self, runtime: Runtime) -> Conversation:
        """What is known of a conversation, which may be nothing."""
        conversation = self._known.pop(runtime, None) or Conversation(runtime)
        self._known[runtime] = conversation
        if len(self._known) > MOST_IDLE:
            oldest = next(iter(self._known.values()))
            if not oldest.is_live:
                del self._known[oldest.runtime]
        return conversation

    def live(self) -> list[Conversation]:
        """Those in which something goes on."""
        return [conversation for conversation in self._known.values() if conversation.is_live]

    async def ready(self, runtime: Runtime) -> Conversation:
        """The conversation, as soon as a message may be sent there. Raises `FailureError`: nothing was sent."""
        first, second = await self.connections.both()
        conversation = self.of(runtime)
        async with conversation.lock:
            try:
                if conversation.ready_in != self.connections.generation:
                    await self._make_ready(conversation, first, second)
                for socket in (first, second):
                    if runtime not in socket.subscribed:
                        await _subscribe(socket, runtime)
            except (SocketLostError, TimeoutError) as error:
                raise unavailable(f"Letta Code did not say how the conversation is: {type(error).__name__}") from error
        return conversation

    async def _make_ready(self, conversation: Conversation, first: AppServerSocket, second: AppServerSocket) -> None:
        generation = self.connections.generation
        await self.connections.settle(SETTLED_AFTER)
        async with self.connections.none_opens():
            await _subscribe(first, conversation.runtime)
            if conversation.is_idle:
                for item in [*conversation.queue]:
                    if (item.client_message_id or "").startswith(OURS):
                        logger.warning("A message that was interrupted is taken out of Letta Code's queue")
                        conversation.left_over.add(item.client_message_id or "")
                        await first.ask("remove_queue_item", runtime=conversation.runtime, item_id=item.id)
        await _subscribe(second, conversation.runtime)
        started = await first.ask(
            "runtime_start",
            agent_id=conversation.runtime.agent_id,
            conversation_id=conversation.runtime.conversation_id,
            mode=self._permissions,
        )
        if not started.success:
            raise FailureError(refused(started.error))
        conversation.ready_in = generation

    async def _subscribe_again(self, socket: AppServerSocket) -> None:
        """A new socket, to what goes on; to the rest before the next message."""
        for conversation in self.live():
            try:
                await _subscribe(socket, conversation.runtime)
            except (SocketLostError, TimeoutError):
                return

    def _all_lost(self) -> None:
        for conversation in self._known.values():
            conversation.all_lost()

    def _take(self, raw: bytes) -> None:
        try:
            frame = decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            logger.warning("A frame of Letta Code could not be read, and was skipped")
            return
        if frame.runtime is None or (conversation := self._known.get(frame.runtime)) is None:
            return
        if conversation.take(frame):
            self._do(self._stop(conversation))

    async def _stop(self, conversation: Conversation) -> None:
        """Before a message is stored again."""
        logger.warning("Letta Code is about to deliver a message again; the turn is stopped")
        with suppress(FailureError):
            await abort(self.connections, conversation)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def abort(connections: Connections, conversation: Conversation) -> bool:
    """Stop what runs there; whether anything did. Raises `FailureError`."""
    for socket in connections.open_sockets:
        try:
            answer: Frame = await socket.ask("abort_message", within=5.0, runtime=conversation.runtime)
        except (SocketLostError, TimeoutError):
            continue
        return bool(answer.aborted)
    raise unavailable("Letta Code cannot be asked to stop a turn")


async def _subscribe(socket: AppServerSocket, runtime: Runtime) -> None:
    answer = await socket.ask("sync", runtime=runtime, recover_approvals=False)
    if answer.success is False:
        raise FailureError(refused(answer.error))
    socket.subscribed.add(runtime)
