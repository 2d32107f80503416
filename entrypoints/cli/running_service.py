"""The service that runs, as commands reach it: by HTTP, with the main key. Errors are told in words."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from entrypoints.cli.setup import config_option, failed, in_words, settings_from
from entrypoints.keys import key_stores
from entrypoints.settings import Flags, Settings

if TYPE_CHECKING:
    import httpx

F = TypeVar("F", bound=Callable[..., Any])

# Seconds for an answer that is no stream.
_PATIENCE = 30.0
_KEY_VARIABLE = "LETTABOT_API_KEY"


def service_options(command: F) -> F:
    """`--url` and `--config`."""
    url = click.option(
        "--url", help="Where the service is.  [default: the host and port of the configuration, on this machine]"
    )
    return url(config_option(command))


class RunningService:
    """`url`: without a path. Every method raises `click.ClickException`."""

    def __init__(self, url: str, key: str) -> None:
        import httpx

        self._httpx = httpx
        self._url = url.rstrip("/").removesuffix("/v1")
        # Loopback and private addresses: no proxy is asked.
        self._client = httpx.Client(
            base_url=self._url, headers={"Authorization": f"Bearer {key}"}, timeout=_PATIENCE, trust_env=False
        )

    @classmethod
    def of(cls, config: Path | None, url: str | None) -> "RunningService":
        """The one of this configuration, or at that address."""
        settings = settings_from(Flags(config=config))
        return cls(url or _address_of(settings), _key_of(settings))

    def ask(self, method: str, path: str, body: object = None, **query: str | int | None) -> Any:
        """The decoded answer."""
        given = {name: value for name, value in query.items() if value is not None}
        with self._reached():
            answer = self._client.request(method, path, params=given, json=body)
            return _decoded(answer)

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        """What a stream tells, until it ends."""
        with self._reached(), self._client.stream("GET", path, timeout=self._httpx.Timeout(_PATIENCE)) as answer:
            if answer.status_code != 200:
                answer.read()
                _decoded(answer)
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (self._httpx.HTTPError, self._httpx.InvalidURL, json.JSONDecodeError) as error:
            raise failed(
                f"No lettabot answers at {self._url} ({str(error) or type(error).__name__}). Is it running? "
                "'lettabot server' starts it; --url names another address."
            ) from error


def _decoded(answer: "httpx.Response") -> Any:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if answer.is_success and told is not None:
        return told
    error = told.get("error") if isinstance(told, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    if answer.status_code == 401:
        words = f"It refuses the key of this configuration. Set {_KEY_VARIABLE}, or --config."
    raise failed(str(words or f"It answers {answer.status_code}; is it lettabot that answers there?"))


def _address_of(settings: Settings) -> str:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    host = everywhere.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _key_of(settings: Settings) -> str:
    with in_words():
        for store in key_stores(settings):
            if (key := store.read()) is not None:
                return key
    raise failed(f"There is no key yet: start the service first, or set {_KEY_VARIABLE}, now {_shown()}.")


def _shown() -> str:
    return "empty" if os.environ.get(_KEY_VARIABLE) == "" else "unset"
