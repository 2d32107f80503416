"""How to connect to PostgreSQL so that nobody waits for a server, or for a client, that has vanished without a word."""

from typing import Any

# Seconds in which a connection has to be there.
PATIENCE = 5

# The other end is taken for dead after 11 s of silence, by whichever side notices; no statement takes longer than 10 s.
OPTIONS: dict[str, Any] = {
    "connect_timeout": PATIENCE,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
    "options": " ".join(
        f"-c {name}={value}"
        for name, value in {
            "tcp_keepalives_idle": 5,
            "tcp_keepalives_interval": 2,
            "tcp_keepalives_count": 3,
            "statement_timeout": 10_000,
        }.items()
    ),
}
