"""The words of a message without what surrounds them: politeness, punctuation, quotes, bullets. Pure; never raises."""

import re

STRAIGHT = str.maketrans("‘’ʼ“”", "'''\"\"")
_QUOTES = ('""', "''", "“”", "‘’", "«»", "``")

_OPENING = (
    r"(?:(?:hey|hi|hello|dear)(?:\s\w+)?\s?,|(?:hey|hi|hello|ok|okay|alright|so|well|now|and|also|great|thanks"
    r"|thank you|please|pls|kindly|just|lettabot|notebook|(?:can|could|would|will) you|you (?:can|may|should)"
    r"|i(?:'d like| would like| want) you to|i(?:'d like| would like| want) to)\b)[\s,.!:]*"
)
_CLOSING = r"(?:[\s,.!?]+|^)(?:please|pls)$|[,.!?]\s?(?:thanks|thank you|thx)$"


def tidied(text: str) -> str:
    """Valid Unicode, single spaces, no empty lines, no list bullets."""
    lines = (" ".join(line.split()) for line in text.encode("utf-8", "replace").decode().splitlines())
    filled = [line for line in lines if line]
    if len(filled) > 1:
        filled = [re.sub(r"^(?:[-*•+]|\d{1,3}[.)]) (?:\[ ?\] )?", "", line) for line in filled]
    return "\n".join(filled)


def stripped(message: str) -> tuple[str, bool]:
    """The message without greeting, please and final punctuation, and whether it ended in a question mark."""
    # Only a few rounds each: a message that is nothing but politeness is no reason to work long.
    for _ in range(5):
        opening = re.match(_OPENING, message.translate(STRAIGHT), re.IGNORECASE)
        if opening is None:
            break
        message = message[opening.end() :]
    is_question = False
    for _ in range(3):
        bare = message.rstrip(" .!?…\n")
        is_question = is_question or "?" in message[len(bare) :][:10]
        closing = re.search(_CLOSING, bare[-20:], re.IGNORECASE)
        if closing is None:
            return bare, is_question
        message = bare[: len(bare) - len(closing[0])]
    return message, is_question


def unquoted(words: str) -> str:
    """Without the quotes around all of it."""
    words = words.strip(" ,.:")
    return words[1:-1].strip() if len(words) > 1 and words[0] + words[-1] in _QUOTES else words
