"""What is declared about a setting, and how its value is read. No setting stands here: see schema.py."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from entrypoints.settings import texts
from entrypoints.settings.errors import SettingsError


class Kind(msgspec.Struct, frozen=True):
    """What may be written for a setting."""

    type: Any
    """As msgspec converts to it, with its limits."""
    expected: str
    """What an error says, after "expected"."""
    read: Callable[[str], object] = str.strip
    """From a text to what `type` takes. Raises `ValueError`. In the environment, numbers are texts, too."""
    read_each: Callable[[str], object] | None = None
    """For each text of a list, where a list may be written."""
    is_secret: Callable[[str], bool] = lambda text: False
    """Whether an error must not show this value."""


class Setting(msgspec.Struct, frozen=True):
    """One setting: all that is known of it."""

    key: str
    """As it is written in the file."""
    kind: Kind
    doc: str
    """Its line in docs/configuration.md, in Markdown."""
    to: str = ""
    """Where its value goes in `Settings`, as in "turn_rules.max_waiting". What stands there before is its default.
    Empty: it is put together with others."""
    variables: tuple[str, ...] = ()
    """Environment variables that it is also read from. The first that is set holds."""
    flag: str = ""
    """The option of `lettabot server` that it is also read from."""
    environment_wins: bool = False
    """Over the file. Otherwise the file wins."""
    means: Mapping[str, object] | None = None
    """From what is written to what `Settings` has, where these differ."""
    default: str | None = None
    """Of a setting without `to`."""
    default_words: str = ""
    """What the documentation says of the default, where that is no value."""


def read_value(kind: Kind, value: object, place: str, written: object = None) -> Any:
    """The value as `Settings` wants it. Raises `SettingsError` that names the place and shows what was `written`."""
    try:
        if isinstance(value, str):
            value = kind.read(texts.plain(value))
        elif isinstance(value, list) and kind.read_each is not None:
            value = [kind.read_each(texts.plain(each)) if isinstance(each, str) else each for each in value]
        return msgspec.convert(value, kind.type, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError):
        got = "" if kind.is_secret(str(value)) else f", got {texts.shown(value if written is None else written)}"
        raise SettingsError(f"{place}: expected {kind.expected}{got}") from None
