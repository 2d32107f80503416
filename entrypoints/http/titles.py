"""A title for a chat, made of what the user said first."""

import re

_MARKUP = re.compile(r"[#*_`>|~\[\]{}<]+")
_WORDS, _CHARACTERS = 6, 50
_LOOKED_AT = 20_000


def title_of(text: str) -> str:
    """A few words; never empty."""
    words = _MARKUP.sub(" ", text[:_LOOKED_AT]).split()[:_WORDS]
    while len(words) > 1 and len(" ".join(words)) > _CHARACTERS:
        words.pop()
    return " ".join(words)[:_CHARACTERS].strip(" ,;:-") or "Chat"
