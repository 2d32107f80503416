"""Open WebUI's own questions about a chat (titles, tags, ...), which no agent should hear: recognised, and answered.

Shapes as recorded from Open WebUI 0.12.4. Pure, and in time that grows with the prompt."""

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from entrypoints.http.titles import title_of

# Instead of a summary, for whoever wants to keep one in place of what was said.
KEPT = "The agent keeps what was said before in its own memory."


class Task(StrEnum):
    """By Open WebUI's own names; `OTHER` is one that this service does not know."""

    TITLE = "title_generation"
    TAGS = "tags_generation"
    FOLLOW_UPS = "follow_up_generation"
    QUERIES = "query_generation"
    AUTOCOMPLETE = "autocomplete_generation"
    EMOJI = "emoji_generation"
    IMAGE_PROMPT = "image_prompt_generation"
    MERGE = "moa_response_generation"
    FUNCTION_CALLING = "function_calling"
    COMPACTION = "context_compaction"
    MEMORY_REVIEW = "memory_review"
    OTHER = "other"


_BY_NAME = {task.value: task for task in Task}
# The key of the JSON that a task prompt asks for tells which one it is.
_BY_KEY = {
    "title": Task.TITLE,
    "tags": Task.TAGS,
    "follow_ups": Task.FOLLOW_UPS,
    "queries": Task.QUERIES,
    "text": Task.AUTOCOMPLETE,
    "prompt": Task.IMAGE_PROMPT,
}
_KEY = re.compile(rf'\{{\s*"({"|".join(_BY_KEY)})"\s*:')
_HISTORY, _HISTORY_END = "<chat_history>", "</chat_history>"

# The templates of all versions have this heading.
_OUTPUT = re.compile(r"^### \**Output", re.MULTILINE)
# A completion's template ends with it; the chat is the end of all others.
_COMPLETION_END = "#### Output:"

# Tasks of other shapes.
_EMOJI = (
    "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Interpret emotions from "
    "the message and reflect their facial expression using fitting, diverse emojis (e.g., 😊, 😢, 😡, 😱).\n\nMessage: "
)
_EMOJI_END = ("```", '"""')
_TOOLS = "Available Tools: "
_TOOLS_RULES = (
    "Your task is to choose and return the correct tool(s) from the list of available tools based on the query."
)
_MEMORY_REVIEWER = "You are Open WebUI's private memory reviewer. Return only valid JSON."
_MEMORY_REVIEW = "Review the completed conversation turn and decide whether long-term memory should change."

_ATTACHED = re.compile(r"<attached_files>.{0,100000}?</attached_files>", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]{4,20}")
_TAGS = 3
_LOOKED_AT = 20_000
# Words that say nothing about a subject, in English and German.
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """about after again also another answer because been before being between both come could does doing done each
        even every find from give good hello have help here into just know like list look made make many more most much
        must need only other over please question really said same show should some such take tell than thank thanks
        that their them then there these they thing things think this those today told user very want were what when
        where which while will with without would write year your
        aber alle alles auch bitte dann dass dein deine diese dieser doch durch eine einen einer eines etwas habe haben
        hallo hast hier immer jetzt kann kannst keine mehr mein meine mich nach nicht noch oder ohne schon sehr sein
        seine sich sind über unter viel warum welche wenn werden wird wurde""",
    )
)


def task_of(
    header: str, stream: bool, declares_tools: bool, roles: Sequence[str], opening: str, prompt: str
) -> Task | None:
    """The task that this request is, or None: it is a message for the agent, as everything is when in doubt.

    `header` is the value of Open WebUI's {{TASK}}, which decides alone. Without it, `opening` (the first message) and
    `prompt` (the user's) have to be one of its templates from beginning to end: a chat about a file begins like one,
    too (recorded), but is a stream, has no history inside, and asks for no JSON."""
    if header:
        return _BY_NAME.get(header, Task.OTHER)
    if stream or declares_tools or tuple(roles) not in (("user",), ("system", "user")):
        return None
    if tuple(roles) == ("system", "user"):
        return _task_with_system_message(opening, prompt)
    if prompt.startswith(_EMOJI) and prompt.rstrip().endswith(_EMOJI_END):
        return Task.EMOJI
    if prompt.startswith("### Task:\n"):
        instructions, found, rest = prompt.partition(f"\n{_HISTORY}\n")
        key = _KEY.search(instructions)
        if found and key and _OUTPUT.search(instructions) and f"\n{_HISTORY_END}" in rest:
            task = _BY_KEY[key[1]]
            end = _COMPLETION_END if task is Task.AUTOCOMPLETE else _HISTORY_END
            return task if rest.rstrip().endswith(end) else None
    return None


def _task_with_system_message(opening: str, prompt: str) -> Task | None:
    if opening == _MEMORY_REVIEWER and prompt.startswith(_MEMORY_REVIEW):
        return Task.MEMORY_REVIEW
    if opening.startswith(_TOOLS) and _TOOLS_RULES in opening and prompt.startswith("Query: "):
        return Task.FUNCTION_CALLING
    return None


def local_answer(task: Task, prompt: str) -> str:
    """What Open WebUI can use: mostly JSON, as each task's prompt asks for it."""
    match task:
        case Task.TITLE:
            return _json({"title": title_of(_user_words(prompt))})
        case Task.TAGS:
            return _json({"tags": _tags(_user_words(prompt))})
        case Task.FOLLOW_UPS:
            return _json({"follow_ups": []})
        case Task.QUERIES:
            return _json({"queries": []})
        case Task.AUTOCOMPLETE:
            return _json({"text": ""})
        case Task.IMAGE_PROMPT:
            return _json({"prompt": _user_words(prompt).strip()})
        case Task.FUNCTION_CALLING:
            return _json({"tool_calls": []})
        case Task.EMOJI:
            return "💬"
        case Task.MERGE:
            return prompt.partition("Responses from models:")[2].strip()
        case Task.COMPACTION:
            return KEPT
        case Task.MEMORY_REVIEW:
            return _json({"operations": []})
        case Task.OTHER:
            return ""


def _user_words(prompt: str) -> str:
    """What the user said, in the chat inside a prompt; without such a chat, the prompt itself."""
    start, end = prompt.find(_HISTORY), prompt.rfind(_HISTORY_END)
    if start < 0:
        return prompt[:_LOOKED_AT]
    chat = prompt[start + len(_HISTORY) : end if end > start else None][:_LOOKED_AT]
    said: list[str] = []
    users_turn = False
    for line in chat.splitlines():
        if line.startswith("USER: "):
            users_turn, line = True, line.removeprefix("USER: ")
        elif line.startswith("ASSISTANT: "):
            users_turn = False
        if users_turn:
            said.append(line)
    return _ATTACHED.sub("", "\n".join(said))


def _tags(text: str) -> list[str]:
    words = Counter(word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS)
    return [word for word, _ in words.most_common(_TAGS)] or ["general"]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
