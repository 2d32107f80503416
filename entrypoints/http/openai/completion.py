"""The whole answer, and the shapes of OpenAI's answers as the API page describes them."""

from collections.abc import Sequence

import msgspec

from domain.model.answer_text import whole_reasoning, whole_text
from domain.model.events import Ended, TurnEvent, Usage


class AnswerForm(msgspec.Struct, frozen=True):
    """What an answer looks like, whatever is in it. `usage_unknown`: what is reported where nobody counted.

    `repeated_for`: see `api_errors.of_failure`."""

    answer_id: str
    created: int
    model: str
    reasoning: bool = False
    usage: bool = False
    repeated_for: float = 0
    usage_unknown: Usage | None = None


class AssistantMessage(msgspec.Struct, frozen=True):
    """`reasoning_content` is no field of OpenAI's; it is there only if the operator wants it."""

    content: str
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
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
    """`usage` is null unless the operator wants it reported, to all or to the holder of this key."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: TokenUsage | None = None


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
    """An agent as OpenAI's model; `created` is the agent's own creation time."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "lettabot"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: tuple[ModelCard, ...]
