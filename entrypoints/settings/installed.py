"""Backends of other packages: found by their entry points, their sections checked by what they bring."""

from importlib.metadata import entry_points

import msgspec

from entrypoints.settings.backend import InstalledOptions, Mode
from entrypoints.settings.errors import SettingsError
from entrypoints.settings.schema import BackendEntry
from ports.backend_type import GROUP, BackendType


def installed_backend(entry: BackendEntry) -> InstalledOptions:
    """The backend whose name is this entry's mode. Raises `SettingsError`."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if (point := found.get(entry.mode)) is None:
        known = ", ".join([*Mode, *found])
        raise SettingsError(
            f"{entry.path}.mode: there is no backend {entry.mode}; there are: {known}. Is its package installed in the "
            "same environment as lettabot?"
        )
    try:
        kind = point.load()
    except Exception as error:
        raise SettingsError(f"{entry.path}: {point.value} cannot be loaded: {error!r}") from error
    if not isinstance(kind, BackendType):
        raise SettingsError(f"{entry.path}: {point.value} is no ports.backend_type.BackendType")
    unknown = set(entry.values) - {field.encode_name for field in msgspec.structs.fields(kind.settings)}
    if unknown:
        raise SettingsError(f"{entry.path}: {entry.mode} has no settings {', '.join(sorted(unknown))}")
    try:
        # Variables of the environment are texts.
        return InstalledOptions(kind, msgspec.convert(entry.values, kind.settings, strict=False))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{entry.path}: {error}") from None
