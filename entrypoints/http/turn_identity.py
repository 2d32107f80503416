"""What a request is known by when it is sent again: its keys and ids, its bytes, its agent and its chat."""

from domain.model.identity import Identity
from domain.model.turn import TurnRequest
from entrypoints.http.chat_headers import ChatHeaders


def identity_of(turn: TurnRequest, headers: ChatHeaders, digest: bytes, going_on: bool = False) -> Identity:
    """`digest` of the body. `going_on`: it continues an answer, whose message id it then has as its own."""
    body = b"\0".join([digest, turn.agent.id.encode(), (turn.chat or "").encode()])
    message_id = None
    if headers.message_id is not None and not turn.passing:
        message_id = "\0".join([turn.agent.id, turn.chat or "", headers.message_id, body.hex() if going_on else ""])
    return Identity(body, headers.idempotency_key, message_id, headers.retry_count)
