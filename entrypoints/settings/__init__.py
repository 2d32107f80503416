"""The settings: from flags, lettabot.yaml and the environment to one checked value that everything else is given."""

from entrypoints.settings.backend import Mode
from entrypoints.settings.errors import SettingsError
from entrypoints.settings.load import load_settings
from entrypoints.settings.model import Flags, Notice, Settings

__all__ = ["Flags", "Mode", "Notice", "Settings", "SettingsError", "load_settings"]
