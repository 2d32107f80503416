"""A backend of lettabot whose agents are Python functions: each takes the message, and returns the answer."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from importlib import import_module

import msgspec

from domain.model.agent import Agent
from domain.model.events import Accepted, Ended, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.turn import Turn
from ports.backend_type import BackendError, BackendType

logger = logging.getLogger(__name__)


class FunctionSettings(msgspec.Struct, frozen=True):
    """The section of lettabot.yaml."""

    functions: dict[str, str]
    """By the name of the agent: where its function is, as MODULE:FUNCTION."""


class FunctionGateway:
    """Has what every gateway needs, and no abilities: functions cannot be stopped, and remember nothing."""

    def __init__(self, settings: FunctionSettings) -> None:
        self._functions = {name: _function(place) for name, place in settings.functions.items()}

    async def agents(self) -> Sequence[Agent]:
        return [Agent(name, name, number) for number, name in enumerate(self._functions)]

    async def run(self, turn: Turn) -> AsyncGenerator[TurnEvent, None]:
        function = self._functions.get(turn.agent.id)
        if function is None or turn.message is None:
            raise FailureError(Failure(FailureCode.MODEL_NOT_FOUND, Delivery.NO))
        yield Accepted()
        try:
            # In a thread: other turns must not wait for it.
            answer = await asyncio.to_thread(function, turn.message.text)
        except Exception as error:
            logger.exception("The function of the agent %s failed", turn.agent.id)
            raise FailureError(Failure(FailureCode.AGENT_ERROR, Delivery.YES, type(error).__name__)) from error
        yield Text(answer)
        yield Ended()

    async def close(self) -> None:
        """Nothing is open."""


def _function(place: str) -> Callable[[str], str]:
    module, _, name = place.partition(":")
    try:
        found: Callable[[str], str] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BackendError(f"{place} is not there: {error}. Write MODULE:FUNCTION.") from error
    return found


def shout(message: str) -> str:
    return message.upper()


def count(message: str) -> str:
    return f"You wrote {len(message.split())} words."


BACKEND = BackendType(FunctionSettings, FunctionGateway)
