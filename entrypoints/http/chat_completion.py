"""The whole answer, and the shapes of OpenAI's answers as the API page describes them."""

import msgspec


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True):
    role: str = "assistant"
    content: str
    refusal: None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int = 0
    message: AssistantMessage
    finish_reason: str = "stop"


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """`usage` is null on purpose: token counts are not tracked."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: None = None


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as OpenAI's model; `created` is the agent's own creation time."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "lettabot"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: tuple[ModelCard, ...]
