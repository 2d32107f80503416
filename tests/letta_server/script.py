"""What the scripted language model answers: chosen by markers in the last user message, so a test says it to the agent.

| marker | answer |
|---|---|
| (none) | a short sentence, one chunk per word |
| [[say TEXT]] | exactly TEXT |
| [[words N]] | N numbered words |
| [[drip N S]] | N words, S seconds before each |
| [[slow S]] | wait S seconds before the first byte (with any other) |
| [[reason]] | reasoning first (with any other) |
| [[tool]] | a call of list_todos; after its result, a sentence about it |
| [[call NAME {json}]] | the same with the tool NAME and these arguments |
| [[text+tool]] | text and a list_todos call in one answer, then a sentence |
| [[tools2]] | two parallel list_todos calls, then a sentence |
| [[tool-then-error CODE]] | a list_todos call; the request after its result fails with CODE |
| [[error CODE]] | HTTP CODE with an OpenAI error body |
| [[midfail N]] | N words, then the connection is cut |
| [[empty]] | nothing |
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

WORK = ("list_todos", '{"list_name": "work"}')
HOME = ("list_todos", '{"list_name": "home"}')


class Script(NamedTuple):
    """One answer. `calls` are names and JSON arguments; times are in seconds."""

    words: Sequence[str] = ()
    reasoning: Sequence[str] = ()
    calls: Sequence[tuple[str, str]] = ()
    error: int | None = None
    wait: float = 0.0
    wait_per_word: float = 0.0
    cut: bool = False


def script_for(messages: list[dict[str, Any]]) -> Script:
    text, results = _last_user_message(messages)
    wait = re.search(r"\[\[slow ([\d.]+)\]\]", text)
    reasoning = ["I", "should", "greet", "the", "user", "."] if "[[reason]]" in text else []
    return _answer(text, results)._replace(reasoning=reasoning, wait=float(wait[1]) if wait else 0.0)


def _answer(text: str, results: int) -> Script:
    done = f"The tool answered {results} time(s) , all done .".split(" ")
    found = re.search(
        r"\[\[(error|tool-then-error|tools2|text\+tool|tool|call|drip|words|midfail|empty|say)(?: (.*?))?\]\]", text
    )
    marker, value = (found[1], found[2] or "") if found else ("", "")
    match marker:
        case "error":
            return Script(error=int(value))
        case "tool-then-error":
            return Script(error=int(value)) if results else Script(calls=[WORK])
        case "tool" | "text+tool" | "tools2" | "call" if results:
            return Script(done)
        case "tool":
            return Script(calls=[WORK])
        case "text+tool":
            return Script(["Let", "me", "look", "at", "your", "list", "."], calls=[WORK])
        case "tools2":
            return Script(calls=[WORK, HOME])
        case "call":
            name, _, arguments = value.partition(" ")
            return Script(calls=[(name, arguments or "{}")])
        case "drip":
            count, seconds = value.split(" ")
            return Script(_words(int(count)), wait_per_word=float(seconds))
        case "words":
            return Script(_words(int(value)))
        case "midfail":
            return Script(_words(int(value)), cut=True)
        case "empty":
            return Script()
        case "say":
            return Script(value.split(" "))
    return Script(["Hello", "from", "the", "stub", "model", "."])


def _words(count: int) -> list[str]:
    return [f"w{number}" for number in range(1, count + 1)]


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content or ""


def _last_user_message(messages: list[dict[str, Any]]) -> tuple[str, int]:
    """Its text, and how many tool results follow it."""
    results = 0
    for message in reversed(messages):
        if message.get("role") == "tool":
            results += 1
        elif message.get("role") == "user":
            # Letta may pack a user message into JSON, and slips notices of its own in.
            text = text_of(message.get("content")).replace('\\"', '"')
            if '"type": "system_alert"' not in text and '"type": "heartbeat"' not in text:
                return text, results
    return "", results
