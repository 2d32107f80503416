"""The settings: from flags, lettabot.yaml and the environment to one checked value that everything else is given."""

from entrypoints.settings.load import load_settings
from entrypoints.settings.model import Flags, Mode, Notice, Settings, SettingsError

__all__ = ["Flags", "Mode", "Notice", "Settings", "SettingsError", "load_settings"]
