"""The response object, with all of OpenAI's members. Its constant parts are made once."""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.model.events import Ended, Failed, TurnEvent, Usage
from domain.model.response import ResponseStatus, created_at
from entrypoints.http.api_errors import ApiError, of_failure
from entrypoints.http.responses.form import ResponseForm, Shows
from entrypoints.http.responses.parameters import DEFAULTS

# A code after which Codex does not send its message again, whatever has failed (recorded).
_FINAL_FOR_CODEX = "invalid_prompt"
_CUT_OFF = b'{"reason":"max_output_tokens"}'

_encode = msgspec.json.Encoder().encode


class ResponseObject:
    """Of one response."""

    def __init__(self, form: ResponseForm, response_id: str | None = None) -> None:
        self._form = form
        self._id = response_id or form.record.id
        self._tail: bytes | None = None

    def named(self, response_id: str) -> "ResponseObject":
        """The same with another id: this request asks again for an earlier response."""
        return self if response_id == self._id else ResponseObject(self._form, response_id)

    def of(self, status: ResponseStatus, output: Sequence[bytes]) -> bytes:
        """One that has not ended."""
        return self._made(status, output, b"null", b"null", b"null", None)

    def ended(self, end: TurnEvent, output: Sequence[bytes], usage: Usage | None, ended_at: float) -> bytes:
        """One whose turn has ended with that event, at that time (seconds since 1970)."""
        status, error, details, completed_at = self._form.status_after(end), b"null", b"null", b"null"
        if isinstance(end, Ended) and end.cut_off:
            details = _CUT_OFF
        if status is ResponseStatus.COMPLETED:
            completed_at = b"%d" % int(ended_at)
        if isinstance(end, Failed) and status is ResponseStatus.FAILED:
            error = _encode(self._error(of_failure(end.failure)))
        return self._made(status, output, error, details, completed_at, usage)

    def failed(self, output: Sequence[bytes], error: ApiError) -> bytes:
        """One that failed because of a bug."""
        return self._made(ResponseStatus.FAILED, output, _encode(self._error(error)), b"null", b"null", None)

    def _error(self, error: ApiError) -> dict[str, Any]:
        detail = error.body.error
        code = _FINAL_FOR_CODEX if self._form.shows(Shows.FINAL_FOR_CODEX) else detail.code
        return {"type": detail.type, "code": code, "message": detail.message, "param": detail.param}

    def _made(
        self,
        status: ResponseStatus,
        output: Sequence[bytes],
        error: bytes,
        details: bytes,
        completed_at: bytes,
        usage: Usage | None,
    ) -> bytes:
        if self._tail is None:
            self._tail = self._constant()
        used = b"null" if usage is None or not self._form.shows(Shows.USAGE) else _encode(_usage(usage))
        return b"".join(
            (
                b'{"id":"',
                self._id.encode(),
                b'","object":"response","created_at":%d,"status":"' % int(created_at(self._id)),
                status.value.encode(),
                b'","completed_at":',
                completed_at,
                b',"error":',
                error,
                b',"incomplete_details":',
                details,
                b',"output":[',
                b",".join(output),
                b'],"usage":',
                used,
                self._tail,
            )
        )

    def _constant(self) -> bytes:
        record = self._form.record
        constant = {
            "model": record.model,
            "background": record.background,
            "store": not self._form.shows(Shows.UNSTORED),
            "previous_response_id": record.previous,
            "conversation": None if record.conversation is None else {"id": record.conversation},
        }
        return b"," + _encode(constant)[1:-1] + b"," + (record.parameters or DEFAULTS)[1:]


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
