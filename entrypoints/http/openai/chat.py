"""POST /v1/chat/completions: from a request to a turn. The answer itself is answer.py's."""

import os
import time
from functools import partial
from typing import Any

import structlog
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from domain.model.agent import Agent
from domain.model.api_key import Caller
from domain.model.events import Accepted, Ended, Text, Usage
from domain.model.turn import Continues, TurnRequest, UserMessage
from domain.services.roster_cache import RosterCache
from domain.services.turn_log import TurnLog
from domain.services.turn_monitor import TurnMonitor
from domain.services.turns import Turns
from entrypoints.http.answer import Answer
from entrypoints.http.api_docs import ChatOperation
from entrypoints.http.api_errors import of_failure
from entrypoints.http.auth import caller_of
from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.openai.chat_request import ChatRequest, read_chat_request
from entrypoints.http.openai.chunks import ChunkEncoder
from entrypoints.http.openai.completion import AnswerForm, whole_completion
from entrypoints.http.openai.tool_display import tool_display
from entrypoints.http.request_log import request_log_of
from entrypoints.http.task_answers import task_answer
from entrypoints.http.turn_identity import identity_of
from entrypoints.settings.chat_options import BackgroundTasks, ChatOptions

logger = structlog.get_logger(__name__)


class Chat:
    """What chat requests need: given once, because Litestar would resolve it each time, in a task group."""

    def __init__(
        self,
        rosters: RosterCache,
        turns: Turns,
        options: ChatOptions,
        repeat_errors_for: float,
        intake: ChatIntake,
        monitor: TurnMonitor,
    ) -> None:
        self._rosters = rosters
        self._turns = turns
        self._options = options
        self._repeat_errors_for = repeat_errors_for
        self._intake = intake
        self._monitor = monitor

    async def answer(self, request: Request[Any, Any, Any]) -> Answer:
        """Begin the turn, or find it. Raises `ApiError` and `FailureError`."""
        options = self._options
        decode = partial(read_chat_request, image_links=options.image_links)
        headers, asked, digest = await self._intake.read(request, decode)
        caller = caller_of(request.scope)
        model = await self._rosters.resolve(asked.model, caller)
        request_log = request_log_of(request.scope)
        request_log.agent, request_log.stream = model.name, asked.stream
        form = AnswerForm(
            f"chatcmpl-{os.urandom(16).hex()}",
            int(time.time()),
            model.name,
            options.reasoning,
            (options.usage or caller.usage) and (asked.wants_usage or not asked.stream),
            headers.repeated_for(self._repeat_errors_for),
            # Who has such a key has it because of a client that fails without.
            Usage(0, 0) if caller.usage else None,
        )
        tools = tool_display(options.tool_calls, asked.declares_tools, headers.user_agent, headers.is_open_webui)
        encoder = ChunkEncoder(form, tools) if asked.stream else None
        whole = partial(whole_completion, form=form)
        instead = None
        if asked.message is not None:
            instead = task_answer(
                headers,
                asked.message.text,
                asked.stream,
                asked.declares_tools,
                asked.roles,
                asked.opening,
                asked.instruction_at_end,
            )
        is_task = instead is not None
        if asked.message is None or (is_task and options.background_tasks is BackgroundTasks.LOCAL):
            # Nothing is delivered: the log has ended before it began.
            request_log.task = is_task
            if asked.message is None:
                self._monitor.own_call_answered()
            return Answer(TurnLog([Accepted(), Text(instead or ""), Ended()]).reader(), whole, encoder)
        if asked.left_out:
            logger.info("only the last of several user messages is delivered", left_out=asked.left_out)
        turn = _turn_request(model.agent, asked, asked.message, headers, options, caller, is_task)
        reading = self._turns.begin(turn, identity_of(caller, turn, headers, digest, asked.ends_with_answer))
        return Answer.of(reading, whole, encoder, partial(of_failure, repeated_for=form.repeated_for))


def chat_handler(chat: Chat) -> HTTPRouteHandler:
    # A function in a function, because Litestar makes deep copies of methods, collaborators included.
    @post("/v1/chat/completions", operation_class=ChatOperation, status_code=200)
    async def create_chat_completion(request: Request[Any, Any, Any]) -> ASGIApp:
        return await chat.answer(request)

    return create_chat_completion


def _turn_request(
    agent: Agent,
    asked: ChatRequest,
    message: UserMessage,
    headers: ChatHeaders,
    options: ChatOptions,
    caller: Caller,
    is_task: bool,
) -> TurnRequest:
    continues = Continues.NO
    if asked.ends_with_answer:
        # Open WebUI ends with the assistant's words only if the user has asked it to continue.
        continues = Continues.YES if headers.message_id else Continues.PERHAPS
    if is_task:
        return TurnRequest(agent, message, ephemeral=True, owner=caller.id)
    chat = caller.own(headers.chat) if options.own_conversations else None
    return TurnRequest(agent, message, chat, caller.own(headers.user_message_id), continues, owner=caller.id)
