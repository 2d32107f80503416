"""Where the API keys of this service are, for the service and for the commands."""

import os
from collections.abc import Sequence

from adapters.keys.environment import EnvironmentKeyStore
from adapters.keys.file import FileKeyStore
from adapters.keys.named_keys import FileNamedKeyStore
from entrypoints.settings import Settings
from ports.key_store import KeyStore, NamedKeyStore


def key_file(settings: Settings) -> FileKeyStore:
    return FileKeyStore(settings.data_dir / "lettabot-api.json")


def named_key_store(settings: Settings) -> NamedKeyStore:
    """Where the named keys are."""
    if settings.state is not None and settings.shares_state:
        from adapters.sql.keys import PostgresNamedKeyStore

        return PostgresNamedKeyStore(settings.state)
    return FileNamedKeyStore(settings.data_dir / "lettabot-keys.json")


def key_stores(settings: Settings) -> Sequence[KeyStore]:
    """Where the API key may be, in the order in which it is looked for; a new one is kept in the last place."""
    stores = (EnvironmentKeyStore(os.environ), key_file(settings))
    if settings.state is None or not settings.shares_state:
        return stores
    from adapters.sql.keys import PostgresKeyStore

    return (*stores, PostgresKeyStore(settings.state))
