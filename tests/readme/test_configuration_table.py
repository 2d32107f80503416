"""The table of settings in docs/configuration.md says what the declarations in entrypoints/settings/schema.py say."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from entrypoints.settings import Flags, Settings, load_settings
from entrypoints.settings.schema import AGENT, API, BACKEND, SERVER
from entrypoints.settings.setting import Setting

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
DECLARED = [
    *((each, ("server.",)) for each in SERVER),
    *((each, ("server.api.",)) for each in API),
    *((each, ("agent.", "agents[].")) for each in AGENT),
    *((each, ("backends.NAME.",)) for each in BACKEND),
]


def code(texts: Sequence[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def written(setting: Setting, value: Any) -> str:
    """A default, as one would write it in the file."""
    if setting.means is not None:
        [value] = [word for word, meaning in setting.means.items() if meaning == value]
    if isinstance(value, bool):
        return str(value).lower()
    if setting.to.startswith("chat_options.header_names."):
        return "-".join(part.title() for part in value.split("-"))
    if value == "null":
        return '"null"'
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def default(setting: Setting, defaults: Settings) -> str:
    if setting.default_words:
        return setting.default_words
    value = reduce(getattr, setting.to.split("."), defaults) if setting.to else setting.default
    return "" if value is None else code([written(setting, value)])


@pytest.fixture
def defaults(tmp_path: Path) -> Settings:
    return load_settings(Flags(), {}, tmp_path, tmp_path)


@pytest.mark.parametrize(("setting", "prefixes"), DECLARED, ids=lambda each: getattr(each, "key", ""))
def test_each_setting_has_its_row(setting: Setting, prefixes: Sequence[str], defaults: Settings) -> None:
    cells = (
        code([prefix + setting.key for prefix in prefixes]),
        code(setting.variables),
        code([setting.flag] if setting.flag else []),
        default(setting, defaults),
        setting.doc,
    )
    row = "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
    assert row in PAGE.read_text().splitlines(), f"docs/configuration.md needs this row:\n{row}"


def test_no_other_setting_has_a_row() -> None:
    rows = [
        line for line in PAGE.read_text().splitlines() if line.startswith(("| `server.", "| `agent", "| `backends"))
    ]
    assert len(rows) == len(DECLARED)


def test_flags_are_those_of_the_command() -> None:
    declared = {setting.flag for setting, _ in DECLARED if setting.flag}
    assert declared == {f"--{name.replace('_', '-')}" for name in Flags.__struct_fields__} - {"--config"}
