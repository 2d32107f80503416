"""POST /v1/responses: from a request to a turn, or to a job. The answer itself is answer.py's."""

from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from domain.model.api_key import Caller
from domain.model.events import Accepted, Ended, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError
from domain.model.identity import Identity
from domain.model.job import Job, size_of
from domain.model.response import (
    ResponseRecord,
    ResponseRequest,
    ResponseStatus,
    created_at,
    job_of,
    new_response_id,
)
from domain.model.roster import Model
from domain.model.turn import Continues, TurnRequest
from domain.services.background_responses import BackgroundResponses
from domain.services.conversation_heads import ConversationHeads
from domain.services.responses import Responses
from domain.services.turn_log import TurnLog
from domain.services.turns import Turns
from entrypoints.http.answer import Answer
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.auth import caller_of
from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.request_log import request_log_of
from entrypoints.http.responses.answers import stored_answer
from entrypoints.http.responses.api_docs import ResponsesOperation
from entrypoints.http.responses.events import NO_EVENTS, ResponseEncoder, whole_response
from entrypoints.http.responses.form import ResponseForm, Shows, tools_shown, wants_it_complete
from entrypoints.http.responses.places import Place, Places
from entrypoints.http.responses.request import (
    CodexTurn,
    ResponsesRequest,
    codex_turn,
    message_id_of,
    read_responses_request,
)
from entrypoints.http.task_answers import task_answer
from entrypoints.http.turn_identity import identity_of
from entrypoints.settings.chat_options import BackgroundTasks, ChatOptions

_CODEX = b"x-codex-turn-metadata"


class ResponseCreation:
    """What requests for responses need: given once, because Litestar would resolve it each time, in a task group."""

    def __init__(
        self,
        places: Places,
        turns: Turns,
        responses: Responses,
        background: BackgroundResponses,
        heads: ConversationHeads,
        options: ChatOptions,
        intake: ChatIntake,
    ) -> None:
        self._places = places
        self._turns = turns
        self._responses = responses
        self._background = background
        self._heads = heads
        self._options = options
        self._intake = intake

    async def answer(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Begin the turn or the job, or find it. Raises `ApiError` and `FailureError`."""
        decode = partial(read_responses_request, image_links=self._options.image_links)
        headers, asked, digest = await self._intake.read(request, decode)
        codex = codex_turn(asked, dict(request.scope["headers"]).get(_CODEX, b""))
        caller = caller_of(request.scope)
        place = await self._places.find(asked, headers, caller)
        model = await self._places.model(asked, place, caller)
        request_log = request_log_of(request.scope)
        request_log.agent, request_log.stream = model.name, asked.stream
        record = self._record(asked, headers, caller, model, place, is_codex=codex is not None)
        form = ResponseForm(record)
        kept = ResponseRequest(record, asked.input, asked.store)
        instead = self._answer_to_task(asked, headers)
        if asked.message is None or (instead is not None and self._options.background_tasks is BackgroundTasks.LOCAL):
            request_log.task = instead is not None
            return await self._told_without_agent(form, kept, place, instead or "", asked.stream)
        follows = None
        if place.previous is not None and not self._options.continue_at_last:
            follows = place.previous.point
        turn = TurnRequest(
            model.agent,
            asked.message,
            place.chat,
            caller.own(headers.user_message_id),
            _continues(asked, headers),
            owner=caller.id,
            response=msgspec.structs.replace(kept, follows=follows),
        )
        if instead is not None:
            turn = TurnRequest(model.agent, asked.message, ephemeral=True, owner=caller.id, response=kept)
        identity = _identity(caller, turn, headers, asked, digest, codex, place)
        if asked.background:
            return await self._in_background(turn, form, identity, asked.stream)
        return self._in_foreground(turn, form, identity, asked.stream)

    def _in_foreground(self, turn: TurnRequest, form: ResponseForm, identity: Identity, stream: bool) -> ASGIApp:
        reading = self._turns.begin(turn, identity)
        encoder = ResponseEncoder(
            form,
            lambda: reading.reader.ended_at,
            lambda: reading.response_id,
            after=-1 if stream else NO_EVENTS,
        )
        whole = partial(whole_response, encoder=encoder)
        return Answer.of(reading, whole, encoder if stream else None, _error_before_delivery)

    async def _in_background(self, turn: TurnRequest, form: ResponseForm, identity: Identity, stream: bool) -> ASGIApp:
        asked, record = turn.response, form.record
        assert asked is not None  # noqa: S101
        job = Job(
            id=job_of(record.id),
            owner=record.owner,
            agent=record.agent,
            model=record.model,
            body=identity.body,
            made_at=created_at(record.id),
            size=size_of(turn.message.text) + sum(len(getattr(each, "data", "")) for each in turn.message.images),
            chat=turn.chat,
            user_message_id=turn.user_message_id,
            key=identity.state_key if identity.is_promised else None,
            response_id=record.id,
            follows=asked.follows,
        )
        if job.size > self._background.longest:
            raise ApiError(
                413,
                "input: the message is longer than those of all open jobs may be together (server.api.maxOpenJobBytes: "
                f"{self._background.longest}). Nothing was delivered.",
                param="input",
            )
        accepted = await self._background.accept(
            asked,
            job,
            turn.message,
            is_retry=identity.retry_count > 0 or identity.message_id is not None,
            check=lambda: self._heads.check(turn),
        )
        form = msgspec.structs.replace(form, record=accepted)
        return await stored_answer(self._responses, form, stream, leave=self._background.reading(identity.body))

    async def _told_without_agent(
        self, form: ResponseForm, asked: ResponseRequest, place: Place, text: str, stream: bool
    ) -> ASGIApp:
        """Nothing is delivered: the log has ended before it began."""
        log = TurnLog([Accepted(), *([Text(text)] if text else []), Ended()])
        point = place.previous.point if place.previous is not None else None
        record = msgspec.structs.replace(
            form.record,
            background=False,
            status=ResponseStatus.COMPLETED,
            ended_at=log.ended_at,
            same_point_as=point or "",
        )
        # Nothing was delivered, so nothing is lost if the state is away: the response cannot be asked for then.
        with suppress(FailureError):
            await self._responses.keep(msgspec.structs.replace(asked, record=record), log.events)
        form = msgspec.structs.replace(form, record=record)
        encoder = ResponseEncoder(form, lambda: log.ended_at, after=-1 if stream else NO_EVENTS)
        return Answer(log.reader(), partial(whole_response, encoder=encoder), encoder if stream else None)

    def _record(
        self,
        asked: ResponsesRequest,
        headers: ChatHeaders,
        caller: Caller,
        model: Model,
        place: Place,
        is_codex: bool,
    ) -> ResponseRecord:
        options = self._options
        shown = {
            tools_shown(options.tool_calls, _is_open_webui(headers)),
            Shows.REASONING if options.reasoning else None,
            Shows.USAGE if options.usage or caller.usage else None,
            # Who has such a key has it because of a client that fails without.
            Shows.USAGE_OR_ZEROS if caller.usage else None,
            Shows.APPROVALS if asked.declares_letta else None,
            Shows.CUT_OFF_AS_COMPLETED if wants_it_complete(headers.user_agent) else None,
            Shows.FINAL_FOR_CODEX if is_codex or "codex" in headers.user_agent.lower() else None,
            None if asked.store else Shows.UNSTORED,
        }
        return ResponseRecord(
            id=new_response_id(),
            owner=caller.id,
            agent=model.agent,
            model=model.name,
            chat=place.chat,
            conversation=place.conversation,
            previous=asked.previous_response_id,
            background=asked.background,
            status=ResponseStatus.QUEUED if asked.background else ResponseStatus.IN_PROGRESS,
            parameters=asked.parameters,
            shows=frozenset(what.value for what in shown if what is not None),
        )

    @staticmethod
    def _answer_to_task(asked: ResponsesRequest, headers: ChatHeaders) -> str | None:
        if asked.message is None or asked.background:
            return None
        return task_answer(headers, asked.message.text, asked.stream, asked.declares_tools, asked.roles, asked.opening)


def create_handler(creation: ResponseCreation) -> HTTPRouteHandler:
    # A function in a function, because Litestar makes deep copies of methods, collaborators included.
    @post("/v1/responses", operation_class=ResponsesOperation, status_code=200)
    async def create_response(request: Request[Any, Any, Any]) -> ASGIApp:
        return await creation.answer(request)

    return create_response


def _is_open_webui(headers: ChatHeaders) -> bool:
    """Whoever has set up its connection for responses has at least given it the header of the chat."""
    return headers.is_open_webui or headers.has_chat_header


def _continues(asked: ResponsesRequest, headers: ChatHeaders) -> Continues:
    """Open WebUI ends with the assistant's words only if the user has asked it to continue; Codex, when it sends again
    what broke."""
    if not (asked.ends_with_answer and _is_open_webui(headers)):
        return Continues.NO
    return Continues.YES if headers.message_id else Continues.PERHAPS


def _identity(
    caller: Caller,
    turn: TurnRequest,
    headers: ChatHeaders,
    asked: ResponsesRequest,
    digest: bytes,
    codex: CodexTurn | None,
    place: Place,
) -> Identity:
    goes_on = _continues(asked, headers) is not Continues.NO
    known_by = headers.message_id if headers.message_id is not None else message_id_of(asked, codex)
    chat = headers.chat if place.conversation is None else place.conversation
    headers = msgspec.structs.replace(headers, message_id=known_by, chat=chat)
    return identity_of(caller, turn, headers, digest, goes_on)


def _error_before_delivery(failure: Failure) -> ApiError | None:
    """After it, a response that failed is the one form of an error that no client answers with another delivery. Whose
    key holds no more gets nothing else."""
    is_told = failure.delivery is Delivery.NO or failure.code is FailureCode.KEY_REVOKED
    return of_failure(failure) if is_told else None
