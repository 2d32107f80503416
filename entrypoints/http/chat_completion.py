"""The whole answer, and the shapes of OpenAI's answers as the API page describes them."""

import msgspec


class AssistantMessage(msgspec.Struct, frozen=True):
    content: str
    role: str = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True):
    message: AssistantMessage
    index: int = 0
    finish_reason: str = "stop"


class ChatCompletion(msgspec.Struct, frozen=True):
    """`usage` is null on purpose: token counts are not tracked."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    object: str = "chat.completion"
    usage: None = None


class ModelCard(msgspec.Struct, frozen=True):
    """An agent as OpenAI's model; `created` is the agent's own creation time."""

    id: str
    created: int
    object: str = "model"
    owned_by: str = "lettabot"


class ModelList(msgspec.Struct, frozen=True):
    data: tuple[ModelCard, ...]
    object: str = "list"
