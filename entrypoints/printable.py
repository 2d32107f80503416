"""Texts from elsewhere as a terminal may print them. What it would obey (to move the cursor, to fill the clipboard, to
turn the order of letters round) is shown as an escape, such as \\x1b."""

import re

# Control characters of both kinds, separators of lines, what overrides the order of letters, and halves of surrogates,
# which cannot be written at all.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_OBEYED_OR_BREAKS = re.compile(f"[\t\n{_OBEYED.pattern[1:]}")


def visible(text: str) -> str:
    """Lines and tabs stay as they are."""
    return text if text.isprintable() else _OBEYED.sub(_escape, text.replace("\r\n", "\n"))


def on_one_line(text: str) -> str:
    return text if text.isprintable() else _OBEYED_OR_BREAKS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
