"""How to connect to PostgreSQL so that nobody waits for a server, or for a client, that has vanished without a word."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict

# For the server: when a client that says nothing is taken for dead, and that no statement takes longer than 10 s.
_SETTINGS = {
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "statement_timeout": 10_000,
}


def keepalives() -> dict[str, Any]:
    """For psycopg: a server is taken for dead after 11 s of silence."""
    return {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 11_000,
    }


def connect_options(url: str) -> dict[str, Any]:
    """For psycopg, beside the URL; what that sets itself stays."""
    settings = [f"-c {name}={value}" for name, value in _SETTINGS.items()]
    options = " ".join([*settings, str(conninfo_to_dict(url).get("options") or "")]).strip()
    return {**keepalives(), "options": options}
