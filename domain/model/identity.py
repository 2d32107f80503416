"""What tells one request from another, and a retry from a question that is asked again."""

import hashlib

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

    @property
    def has_id(self) -> bool:
        """Whether it names itself. Requests that do not may look alike and yet be different ones."""
        return self.idempotency_key is not None or self.message_id is not None

    @property
    def state_key(self) -> str:
        """What it is known by in the state: a digest of its key, else of its message id, else of its body."""
        if self.idempotency_key is not None:
            known_by = b"key " + self.idempotency_key.encode("utf-8", "surrogatepass")
        elif self.message_id is not None:
            known_by = b"message " + self.message_id.encode("utf-8", "surrogatepass")
        else:
            known_by = b"body " + self.body
        return hashlib.sha256(known_by).hexdigest()
