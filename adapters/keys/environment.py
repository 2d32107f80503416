"""The API key as an environment variable: it can be read there, but not kept."""

from collections.abc import Mapping
from typing import NoReturn

from domain.model.api_key import is_sendable
from ports.key_store import KeyStoreError

VARIABLE = "LETTABOT_API_KEY"


class EnvironmentKeyStore:
    """`ports.KeyStore` over LETTABOT_API_KEY; empty means unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @property
    def place(self) -> str:
        return f"the environment variable {VARIABLE}"

    def read(self) -> str | None:
        key = self._environ.get(VARIABLE)
        if not key:
            return None
        if not is_sendable(key):
            raise KeyStoreError(
                f"The key in {self.place} cannot be sent in a header: it has line breaks, control characters, "
                "or blanks around it. Set it again without them."
            )
        return key

    def create(self, key: str) -> str:
        kept = self.read()
        if kept is None:
            self._refuse()
        return kept

    def replace(self, key: str) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise KeyStoreError(
            f"The key comes from {self.place}, and can only be changed where that is set. "
            "Unset it to have the key kept in a file."
        )
