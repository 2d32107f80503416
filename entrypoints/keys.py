"""Where the API keys of this service are, for the service and for the commands."""

import os
from collections.abc import Sequence

from adapters.keys.environment import EnvironmentKeyStore
from adapters.keys.file import FileKeyStore
from adapters.keys.ring import FileKeyRing
from entrypoints.settings import Settings
from ports.key_store import KeyRing, KeyStore


def key_file(settings: Settings) -> FileKeyStore:
    return FileKeyStore(settings.data_dir / "lettabot-api.json")


def key_ring(settings: Settings) -> KeyRing:
    """Where the named keys are."""
    if settings.state is not None and settings.shares_state:
        from adapters.sql.keys import PostgresKeyRing

        return PostgresKeyRing(settings.state)
    return FileKeyRing(settings.data_dir / "lettabot-keys.json")


def key_stores(settings: Settings) -> Sequence[KeyStore]:
    """Where the API key may be, in the order in which it is looked for; a new one is kept in the last place."""
    stores = (EnvironmentKeyStore(os.environ), key_file(settings))
    if settings.state is None or not settings.shares_state:
        return stores
    from adapters.sql.keys import PostgresKeyStore

    return (*stores, PostgresKeyStore(settings.state))
