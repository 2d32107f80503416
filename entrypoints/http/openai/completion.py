"""The whole answer, and the shapes of OpenAI's answers as the API page describes them."""

from collections.abc import Sequence

import msgspec

from domain.model.answer_text import whole_reasoning, whole_text
from domain.model.events import Ended, TurnEvent, Usage


class AnswerForm(msgspec.Struct, frozen=True):
    """How an answer looks, whatever is in it."""

    answer_id: str
    created: int
    model: str
    reasoning: bool = False
    """Whether the agent's reasoning is in it."""
    usage: bool = False
    """Whether tokens are reported."""
    repeated_for: float = 0
    """See `api_errors.of_failure`."""
    usage_unknown: Usage | None = None
    """What is reported where nobody counted."""


class AssistantMessage(msgspec.Struct, frozen=True):
    """The message of an answer."""

    content: str
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    """No field of OpenAI's. It is there only if the operator wants it."""
    role: str = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int = 0
    message: AssistantMessage
    finish_reason: str = "stop"


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of the whole turn, all of the agent's steps together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @staticmethod
    def of(usage: Usage) -> "TokenUsage":
        """OpenAI wants the sum as well."""
        sum_ = usage.prompt_tokens + usage.completion_tokens
        return TokenUsage(usage.prompt_tokens, usage.completion_tokens, sum_)


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: TokenUsage | None = None
    """Null unless the operator wants it reported, to all or to the holder of this key."""


def finish_reason(end: TurnEvent) -> str:
    """Whether the agent had its say, or its language model was cut off."""
    return "length" if isinstance(end, Ended) and end.cut_off else "stop"


def whole_completion(events: Sequence[TurnEvent], form: AnswerForm) -> bytes:
    """The answer to a client that wants no stream."""
    reasoning = whole_reasoning(events) if form.reasoning else ""
    used = None
    if form.usage:
        used = next((event for event in reversed(events) if isinstance(event, Usage)), form.usage_unknown)
    return msgspec.json.encode(
        ChatCompletion(
            id=form.answer_id,
            created=form.created,
            model=form.model,
            choices=(
                Choice(
                    message=AssistantMessage(whole_text(events), reasoning or msgspec.UNSET),
                    finish_reason=finish_reason(events[-1]),
                ),
            ),
            usage=TokenUsage.of(used) if used else None,
        )
    )


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as OpenAI's model."""

    id: str
    object: str = "model"
    created: int
    """When the agent was made."""
    owned_by: str = "lettabot"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: tuple[ModelCard, ...]
