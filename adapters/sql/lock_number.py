"""What PostgreSQL's advisory locks are known by: numbers, which all programs in one database share."""

import hashlib


def lock_number(name: str) -> int:
    """Of 64 bits, always the same for one name."""
    digest = hashlib.sha256(b"lettabot " + name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], signed=True)
