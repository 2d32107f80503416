"""What a request is known by when it is sent again: its keys and ids, its bytes, its agent and its chat."""

from domain.model.api_key import Caller
from domain.model.identity import Identity, joined
from domain.model.turn import TurnRequest
from entrypoints.http.chat_headers import ChatHeaders


def identity_of(
    caller: Caller, turn: TurnRequest, headers: ChatHeaders, digest: bytes, going_on: bool = False
) -> Identity:
    """`digest` of the body. `going_on`: it continues an answer, whose message id it then has as its own.

    Nobody's request is a retry of one that came with another API key. Agents and chats are those that clients name:
    within one key, that is enough."""
    chat = "" if turn.chat is None or headers.chat is None else headers.chat
    body = digest + joined("", turn.agent.key, chat, caller.id).encode("utf-8", "surrogatepass")
    message_id = None
    if headers.message_id is not None and not turn.ephemeral:
        message_id = joined(turn.agent.key, chat, caller.id, headers.message_id, body.hex() if going_on else "")
    key = headers.idempotency_key
    return Identity(body, key if key is None else joined(caller.id, key), message_id, headers.retry_count)
