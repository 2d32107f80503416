"""The error of all that is wrong with the settings."""


class SettingsError(Exception):
    """The service cannot start like this; the message names the place and says what to do."""
