"""What tells one request from another, and a retry from a question that is asked again."""

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """`body` stands for all that was sent: a digest of it, the agent, and the chat key.

    The idempotency key is the client's promise; `message_id` is a frontend's own id of the answer that it asks for.
    `retry_count`: how often the client says that it has sent this before (OpenAI's SDKs do).
    `attempt`: of a job, which is attempted again after what is no final failure."""

    body: bytes
    idempotency_key: str | None = None
    message_id: str | None = None
    retry_count: int = 0
    attempt: int = 0
