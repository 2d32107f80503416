"""The error of a variable of the environment that the way to Letta depends on."""


class NetworkSettingError(Exception):
    """The message names the variable, and says what to do; it never shows a password."""
