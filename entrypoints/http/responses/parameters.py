"""The parameters of a request that mean nothing to an agent: accepted, and told again in the response, as OpenAI does.

What is absent, null, of a wrong type or very long is told as OpenAI's default."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

# Bytes of a parameter from which on it is not told again.
_LONGEST = 200_000
_NOTHING = Raw(b"")

_TEXT: Mapping[str, Any] = {"format": {"type": "text"}}
_REASONING: Mapping[str, Any] = {"effort": None, "summary": None}
_FUNCTION: Mapping[str, Any] = {"name": "", "description": None, "parameters": None, "strict": None}

# The type of each, and its default.
_KNOWN: Mapping[str, tuple[Any, Any]] = {
    "instructions": (str, None),
    "max_output_tokens": (int, None),
    "max_tool_calls": (int, None),
    "metadata": (dict[str, str], {}),
    "parallel_tool_calls": (bool, True),
    "presence_penalty": (float, 0.0),
    "frequency_penalty": (float, 0.0),
    "prompt_cache_key": (str, None),
    "prompt_cache_retention": (str, None),
    "reasoning": (dict[str, Any], _REASONING),
    "safety_identifier": (str, None),
    "service_tier": (str, "default"),
    "temperature": (float, 1.0),
    "text": (dict[str, Any], _TEXT),
    "tool_choice": (str | dict[str, Any], "auto"),
    "tools": (list[dict[str, Any]], []),
    "top_logprobs": (int, 0),
    "top_p": (float, 1.0),
    "truncation": (str, "disabled"),
    "user": (str, None),
}
_decoders = {name: msgspec.json.Decoder(type_) for name, (type_, _) in _KNOWN.items()}
_encode = msgspec.json.Encoder().encode


class Parameters(msgspec.Struct, frozen=True):
    """As they were sent."""

    instructions: Raw = _NOTHING
    max_output_tokens: Raw = _NOTHING
    max_tool_calls: Raw = _NOTHING
    metadata: Raw = _NOTHING
    parallel_tool_calls: Raw = _NOTHING
    presence_penalty: Raw = _NOTHING
    frequency_penalty: Raw = _NOTHING
    prompt_cache_key: Raw = _NOTHING
    prompt_cache_retention: Raw = _NOTHING
    reasoning: Raw = _NOTHING
    safety_identifier: Raw = _NOTHING
    service_tier: Raw = _NOTHING
    temperature: Raw = _NOTHING
    text: Raw = _NOTHING
    tool_choice: Raw = _NOTHING
    tools: Raw = _NOTHING
    top_logprobs: Raw = _NOTHING
    top_p: Raw = _NOTHING
    truncation: Raw = _NOTHING
    user: Raw = _NOTHING


def told_again(sent: Parameters) -> bytes:
    """A JSON object of all of them; empty if all are as by default: most are, and each response is kept."""
    if not any(getattr(sent, name) for name in _KNOWN):
        return b""
    told: dict[str, Any] = {}
    for name, (_, default) in _KNOWN.items():
        raw: Raw = getattr(sent, name)
        told[name] = default if not raw else _value(name, raw, default)
    return _encode(told)


DEFAULTS = _encode({name: default for name, (_, default) in _KNOWN.items()})


def _value(name: str, raw: Raw, default: Any) -> Any:
    if memoryview(raw).nbytes > _LONGEST:
        return default
    try:
        value = _decoders[name].decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return default
    match name:
        case "reasoning" | "text":
            return {**default, **value}
        case "tools":
            return [{**_FUNCTION, **tool} if tool.get("type") == "function" else tool for tool in value]
    return value
