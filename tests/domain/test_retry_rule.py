"""The retry rule as a table: what is known of the earlier turn, what the request says, and what it gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.events import Ended, Failed, Text
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.identity import Identity
from domain.model.retry_rule import RETRIED_WITHIN, EarlierTurn, RetryAction, TurnState, decide, state_after
from domain.model.turn_record import TurnRecord
from domain.model.turn_rules import TurnRules

ENDED_AT = 1000.0
RULES = TurnRules(repeat_errors_for=30)

BYTES = Identity(b"body")
RETRY = Identity(b"body", retry_count=1)
SECOND_RETRY = Identity(b"body", retry_count=2)
MESSAGE = Identity(b"body", message_id="m1")
KEY = Identity(b"body", idempotency_key="key")
JOB = Identity(b"body", job="job_1")
OTHER_BODY = Identity(b"other body", idempotency_key="key")
OTHER_WORDS = Identity(b"other body", message_id="m1")

ANYBODY = (BYTES, RETRY, SECOND_RETRY, MESSAGE, KEY, JOB)
WITH_ID = (MESSAGE, KEY, JOB)

RUNNING = EarlierTurn(TurnState.RUNNING, b"body", ENDED_AT)
WATCHED = EarlierTurn(TurnState.RUNNING, b"body", ENDED_AT, is_watched=True)
STOPPING = EarlierTurn(TurnState.STOPPING, b"body", ENDED_AT)
UNDELIVERED = EarlierTurn(TurnState.UNDELIVERED, b"body", ENDED_AT)
INTERRUPTED = EarlierTurn(TurnState.INTERRUPTED, b"body", ENDED_AT)
INTERRUPTED_ANSWERED = EarlierTurn(TurnState.INTERRUPTED, b"body", ENDED_AT, is_answered=True)
FAILED = EarlierTurn(TurnState.FAILED, b"body", ENDED_AT)
ENDED = EarlierTurn(TurnState.ENDED, b"body", ENDED_AT)
ANSWERED = EarlierTurn(TurnState.ENDED, b"body", ENDED_AT, is_answered=True, highest_retry_answered=0)
ANSWERED_TO_RETRY = EarlierTurn(TurnState.ENDED, b"body", ENDED_AT, is_answered=True, highest_retry_answered=1)
FORGOTTEN = EarlierTurn(TurnState.ENDED, b"body", ENDED_AT, is_answer_kept=False)
ORPHANED = EarlierTurn(TurnState.ORPHANED, b"body", ENDED_AT)

SOON, LATER, MUCH_LATER = 1.0, 31.0, RETRIED_WITHIN + 1

DELIVER, ATTACH, REPLAY = RetryAction.DELIVER, RetryAction.ATTACH, RetryAction.REPLAY
REPLAY_INTERRUPTED, REPEAT_FAILURE = RetryAction.REPLAY_INTERRUPTED, RetryAction.REPEAT_FAILURE
AWAIT_STOP, ASK_BACKEND, REFUSE = RetryAction.AWAIT_STOP, RetryAction.ASK_BACKEND, RetryAction.REFUSE

TABLE: list[tuple[EarlierTurn, tuple[Identity, ...], float, RetryAction]] = [
    # A turn that goes on is joined, unless the same words may be meant as a second question.
    (RUNNING, ANYBODY, SOON, ATTACH),
    (RUNNING, ANYBODY, MUCH_LATER, ATTACH),
    (WATCHED, (RETRY, SECOND_RETRY, *WITH_ID), SOON, ATTACH),
    (WATCHED, (BYTES,), SOON, DELIVER),
    # What a stopped turn leaves behind is not known before it has stopped.
    (STOPPING, ANYBODY, SOON, AWAIT_STOP),
    # Of what was not delivered nothing is left, whatever is known of it.
    (UNDELIVERED, ANYBODY, SOON, DELIVER),
    (UNDELIVERED, (OTHER_BODY, OTHER_WORDS), SOON, DELIVER),
    # A whole answer that nobody has is for whoever asks next; later, only for one with an id.
    (ENDED, ANYBODY, SOON, REPLAY),
    (ENDED, WITH_ID, MUCH_LATER, REPLAY),
    (ENDED, (BYTES, RETRY), MUCH_LATER, DELIVER),
    # An answer that somebody has is for later retries of the same request, and for the same id.
    (ANSWERED, (BYTES,), SOON, DELIVER),
    (ANSWERED, (RETRY, SECOND_RETRY, *WITH_ID), SOON, REPLAY),
    (ANSWERED_TO_RETRY, (BYTES, RETRY), SOON, DELIVER),
    (ANSWERED_TO_RETRY, (SECOND_RETRY, *WITH_ID), SOON, REPLAY),
    (INTERRUPTED, ANYBODY, SOON, REPLAY_INTERRUPTED),
    (INTERRUPTED, WITH_ID, MUCH_LATER, REPLAY_INTERRUPTED),
    (INTERRUPTED, (BYTES, RETRY), MUCH_LATER, DELIVER),
    (INTERRUPTED_ANSWERED, (BYTES,), SOON, DELIVER),
    (INTERRUPTED_ANSWERED, (RETRY, *WITH_ID), SOON, REPLAY_INTERRUPTED),
    # A failure is repeated for a while; a promised id gets it for as long as the id is remembered.
    (FAILED, ANYBODY, SOON, REPEAT_FAILURE),
    (FAILED, (KEY, JOB), LATER, REPEAT_FAILURE),
    (FAILED, (KEY, JOB), MUCH_LATER, REPEAT_FAILURE),
    (FAILED, (BYTES, RETRY, MESSAGE), LATER, DELIVER),
    # The backend knows what nobody has written down.
    (ORPHANED, ANYBODY, SOON, ASK_BACKEND),
    (FORGOTTEN, ANYBODY, SOON, ASK_BACKEND),
    (FORGOTTEN, (BYTES, RETRY), MUCH_LATER, DELIVER),
    # An idempotency key is for one request; a frontend's message id may come with other words.
    (RUNNING, (OTHER_BODY,), SOON, REFUSE),
    (STOPPING, (OTHER_BODY,), SOON, REFUSE),
    (ENDED, (OTHER_BODY,), SOON, REFUSE),
    (FAILED, (OTHER_BODY,), MUCH_LATER, REFUSE),
    (ORPHANED, (OTHER_BODY,), SOON, REFUSE),
    (ENDED, (OTHER_WORDS,), SOON, REPLAY),
]


@pytest.mark.parametrize(
    ("earlier", "request_", "after", "action"),
    [(earlier, each, after, action) for earlier, requests, after, action in TABLE for each in requests],
)
def test_what_a_request_gets(earlier: EarlierTurn, request_: Identity, after: float, action: RetryAction) -> None:
    assert decide(earlier, request_, RULES, ENDED_AT + after) is action


def test_where_other_processes_share_the_state_the_turn_store_knows_what_a_stopped_turn_leaves_behind() -> None:
    assert decide(STOPPING, KEY, TurnRules(shared=True), ENDED_AT) is DELIVER


def test_errors_are_repeated_for_as_long_as_the_operator_says() -> None:
    assert decide(FAILED, BYTES, TurnRules(repeat_errors_for=60), ENDED_AT + 59) is REPEAT_FAILURE
    assert decide(FAILED, BYTES, TurnRules(repeat_errors_for=0), ENDED_AT + 1) is DELIVER
    assert decide(FAILED, BYTES, TurnRules(repeat_errors_for=3600), ENDED_AT + MUCH_LATER) is DELIVER


@given(
    st.sampled_from(sorted(TurnState, key=lambda state: state.value)),
    st.booleans(),
    st.booleans(),
    st.integers(-1, 3),
    st.sampled_from((KEY, JOB)),
    st.floats(0, 1e9),
)
def test_a_promised_id_is_delivered_again_only_if_nothing_was_delivered(
    state: TurnState, watched: bool, answered: bool, retry_count: int, request: Identity, after: float
) -> None:
    earlier = EarlierTurn(state, b"body", 0.0, watched, answered, retry_count)
    is_new = decide(earlier, request, RULES, after) is DELIVER
    assert is_new == (state is TurnState.UNDELIVERED)


@pytest.mark.parametrize(
    ("delivery", "remembered", "state"),
    [
        (Delivery.NO, False, TurnState.UNDELIVERED),
        (Delivery.NO, True, TurnState.UNDELIVERED),
        (Delivery.UNKNOWN, False, TurnState.FAILED),
        (Delivery.YES, False, TurnState.FAILED),
        (Delivery.YES, True, TurnState.INTERRUPTED),
    ],
)
def test_the_state_after_a_failure(delivery: Delivery, remembered: bool, state: TurnState) -> None:
    assert state_after(Failed(Failure(FailureCode.CANCELLED, delivery)), remembered) is state
    assert state_after(Ended(), remembered) is TurnState.ENDED


def test_a_record_says_what_is_known_of_its_turn() -> None:
    def record(**known: object) -> EarlierTurn:
        return TurnRecord(b"body", "d1", True, 500.0, 9e9, "lane", b"", **known).as_earlier_turn(2000.0)  # type: ignore[arg-type]

    failed = (Failed(Failure(FailureCode.LLM_ERROR, Delivery.YES)),)
    assert record() == EarlierTurn(TurnState.ORPHANED, b"body", 500.0, is_answer_kept=False)
    assert record(ended_at=1000.0) == EarlierTurn(TurnState.ENDED, b"body", 1000.0, is_answer_kept=False)
    assert record(ended_at=1000.0, events=(Ended(),)) == ENDED
    assert record(ended_at=1000.0, events=failed) == FAILED
    assert record(ended_at=1000.0, events=failed, remembered_events=(Text("so far"),)) == INTERRUPTED
    answered = {"ended_at": 1000.0, "events": (Ended(),), "answered": True, "highest_retry_answered": 1}
    assert record(**answered) == ANSWERED_TO_RETRY
    # A clock that was set back makes no turn younger than it is.
    assert record(ended_at=3000.0, events=(Ended(),)).since == 2000.0
