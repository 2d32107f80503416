"""Answers that do not come from a Letta that is well: redirects, pages, proxies, empty accounts, rate limits."""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import httpx
import msgspec
from letta_client import APIStatusError

from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure, FailureError

# Where an answer keeps what `hide_redirect` took out of its headers.
LOCATION = "location"
# Seconds. A rate limit that does not say more; the longest that is believed.
_DEFAULT_WAIT = 20
_LONGEST_WAIT = 3600
# These say what they mean, whoever says it, and whatever stands in the body.
_PLAIN_STATUSES = frozenset({401, 402, 403, 407, 408, 409, 413, 425, 429})
# Refusals that may quote the message, or a name, and not speak of credits themselves.
_ECHOING = frozenset({404, 409, 422})
_NO_CREDITS = (
    "insufficient credits",
    "insufficient_credits",
    "insufficient-credits",
    "not enough credits",
    "not-enough-credits",
    "insufficient_quota",
)
_NOT_LETTA = (
    "What answers at the agent backend's address is not Letta; this service's operator has to correct LETTA_BASE_URL "
    "(server.baseUrl)."
)
_SET_URL = "set LETTA_BASE_URL (server.baseUrl) to"
_SHOWN = 200


async def hide_redirect(response: httpx.Response) -> None:
    """A hook for httpx, which reads where a redirect leads even if it does not follow, and fails if that is odd."""
    if 300 <= response.status_code < 400:
        response.extensions[LOCATION] = response.headers.pop("location", "")


def failure_of_foreign_response(error: APIStatusError) -> Failure | None:
    """None where the answer may be Letta's own, about what it was asked. Only a 5xx leaves the delivery open."""
    status, cause = error.status_code, str(error.status_code)
    if 300 <= status < 400:
        return Failure(FailureCode.UPSTREAM_REDIRECT, Delivery.NO, cause, detail=_about_redirect(error))
    if _is_openai(error.body):
        return not_letta(f"{cause}, an error of OpenAI's API")
    if status == 402 or (status not in _ECHOING and lacks_credits(_text_of(error.body))):
        delivery = Delivery.UNKNOWN if status >= 500 else Delivery.NO
        return Failure(FailureCode.INSUFFICIENT_QUOTA, delivery, cause)
    if status == 413:
        return Failure(FailureCode.UPSTREAM_TOO_LARGE, Delivery.NO, cause)
    if status == 429:
        wait = seconds_to_wait(error.response.headers)
        return Failure(FailureCode.BACKEND_RATE_LIMIT, Delivery.NO, cause, retry_after=wait)
    if status in (401, 403, 407):
        return Failure(FailureCode.UPSTREAM_AUTHENTICATION, Delivery.NO, cause, detail=_about_refusal(error))
    if status < 500 and not _may_be_letta(error):
        return not_letta(f"{cause}, {_kind_of(error.response.headers)}")
    return None


def not_letta(cause: str) -> Failure:
    """Somebody else answers at Letta's address."""
    return Failure(FailureCode.UPSTREAM_UNEXPECTED, Delivery.NO, cause, detail=_NOT_LETTA)


def refuse_page(headers: Mapping[str, str]) -> None:
    """Raises `FailureError` if the answer to a message is a page for browsers, whatever its status says."""
    if _kind_of(headers) in ("text/html", "application/xhtml+xml"):
        raise FailureError(not_letta(f"a page ({_kind_of(headers)}) instead of a stream"))


def doubt_answer(headers: Mapping[str, str]) -> None:
    """The same if not one event came, and it does not even say that it is a stream; it may have been delivered."""
    if (kind := _kind_of(headers)) != "text/event-stream":
        failure = not_letta(f"{kind} instead of a stream")
        raise FailureError(msgspec.structs.replace(failure, delivery=Delivery.UNKNOWN))


def lacks_credits(text: str) -> bool:
    """Whether these words of Letta's, or of a language model's provider, say that an account is empty."""
    text = text.lower()
    return any(words in text for words in _NO_CREDITS)


def knows_no_agent(error: APIStatusError) -> bool:
    """Whether Letta itself says that there is no such agent."""
    if error.status_code == 422:
        return isinstance(error.body, dict) and "detail" in error.body
    return error.status_code == 404 and isinstance(error.body, dict) and "agent" in _text_of(error.body).lower()


def seconds_to_wait(headers: Mapping[str, str]) -> int:
    """What `Retry-After` says, in seconds or as a date, within reason."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, headers.get("date", ""))
    if not math.isfinite(seconds) or seconds < 0:
        return _DEFAULT_WAIT
    return max(1, min(math.ceil(seconds), _LONGEST_WAIT))


def _seconds_until(moment: str, now: str) -> float:
    # By the clock of whoever answers, if it says what that shows.
    try:
        until = parsedate_to_datetime(moment).timestamp()
    except (ValueError, OverflowError):
        return math.nan
    try:
        since = parsedate_to_datetime(now).timestamp()
    except (ValueError, OverflowError):
        since = time.time()
    return max(0.0, until - since)


def _may_be_letta(error: APIStatusError) -> bool:
    if error.status_code in _PLAIN_STATUSES:
        return True
    if not isinstance(error.body, dict):
        return False
    if error.status_code not in (404, 405):
        return True
    # A framework's own words for a path that it does not have.
    text = _text_of(error.body).lower()
    return "detail" in error.body and text not in ('{"detail":"not found"}', '{"detail":"method not allowed"}')


def _is_openai(body: object) -> bool:
    """Another service like this one, perhaps this one itself."""
    inner = body.get("error") if isinstance(body, dict) else None
    return isinstance(inner, dict) and inner.get("type") == "invalid_request_error"


def _about_redirect(error: APIStatusError) -> str:
    asked = error.request.url
    here = f"Letta's address {_shown(_base_of(asked) or asked)}"
    location = str(error.response.extensions.get(LOCATION) or "").strip()
    try:
        target = asked.join(location) if location else None
    except (httpx.InvalidURL, ValueError):
        target = None
    if target is None or target.scheme not in ("http", "https") or not target.host:
        return f"{here} answers with status {error.status_code}, which is no answer of Letta's; correct LETTA_BASE_URL."
    redirects = f"{here} redirects ({error.status_code}) to {_shown(target)}; redirects are not followed:"
    base = _base_of(target) if _path(target).rstrip("/").endswith(_letta_path(asked).rstrip("/")) else None
    if base is None:
        return f"{redirects} {_SET_URL} the address at which Letta itself answers."
    if _shown(base) == _shown(_base_of(asked) or asked):
        return f"{redirects} what stands before Letta must pass on paths as they are, slashes at their ends included."
    return f"{redirects} {_SET_URL} {_shown(base)}."


def _about_refusal(error: APIStatusError) -> str:
    if error.status_code == 407:
        return (
            "The proxy on the way to the agent backend wants a login; its operator has to put it into HTTP_PROXY, "
            "HTTPS_PROXY or ALL_PROXY."
        )
    if isinstance(error.body, dict):
        return ""
    return (
        f"What answers at the agent backend's address ({error.status_code}, {_kind_of(error.response.headers)}) wants "
        "a login, and does not look like Letta; this service's operator has to correct LETTA_BASE_URL or LETTA_API_KEY."
    )


def _letta_path(url: httpx.URL) -> str:
    """From /v1 on."""
    path = _path(url)
    start = path.find("/v1/")
    return path[start:] if start >= 0 else path


def _base_of(url: httpx.URL) -> httpx.URL | None:
    """What stands before Letta's own path."""
    path = _path(url)
    start = path.find("/v1/")
    return url.copy_with(raw_path=path[:start].encode() or b"/") if start >= 0 else None


def _path(url: httpx.URL) -> str:
    return url.raw_path.partition(b"?")[0].decode("ascii", "replace")


def _shown(url: httpx.URL) -> str:
    """Without what may be secret: user name, password, query and fragment."""
    text = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}{_path(url)}".rstrip("/")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _kind_of(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()[:60] or "no content type"


def _text_of(body: object) -> str:
    if isinstance(body, str):
        return body
    try:
        return msgspec.json.encode(body).decode()
    except (TypeError, ValueError, RecursionError):
        return ""
