"""What tells one request from another, and a retry from a question that is asked again."""

import hashlib

import msgspec


class Identity(msgspec.Struct, frozen=True):
    """What a request is known by, when it may be a retry."""

    body: bytes
    """Stands for all that was sent: a digest of it, the agent, and the chat key."""
    idempotency_key: str | None = None
    """The client's promise that requests with the same key are the same request."""
    message_id: str | None = None
    """A frontend's own id of the answer that it asks for."""
    retry_count: int = 0
    """How often the client says that it has sent this before (OpenAI's SDKs do)."""
    job: str | None = None
    """The id of the job that this is an attempt of."""
    attempt: int = 0
    """The number of that attempt. After a failure that is not final there is another one."""

    @property
    def has_id(self) -> bool:
        """Whether it names itself. Requests that do not may look alike and yet be different ones."""
        return self.id is not None

    @property
    def is_promised(self) -> bool:
        """Whether all that comes with this id is one request, for as long as the id is remembered."""
        return self.job is not None or self.idempotency_key is not None

    @property
    def id(self) -> tuple[str, str] | None:
        """Its kind and itself. Clients choose keys and message ids, and can choose none that is a job's."""
        if self.job is not None:
            return "job", self.job
        if self.idempotency_key is not None:
            return "key", self.idempotency_key
        if self.message_id is not None:
            return "message", self.message_id
        return None

    @property
    def state_key(self) -> str:
        """What it is known by in the state: a digest of its id, else of its body."""
        if self.id is None:
            return hashlib.sha256(b"body " + self.body).hexdigest()
        # No kind has a blank in it.
        return hashlib.sha256(" ".join(self.id).encode("utf-8", "surrogatepass")).hexdigest()


def joined(*parts: str) -> str:
    """One text, which no other parts make: what separates them stands in none of them."""
    return "\0".join(part.replace("\1", "\1\1").replace("\0", "\1\2") for part in parts)
