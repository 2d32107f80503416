"""What is said of a message's fate when the stream of its run came to no good end, and the run's record is known."""

import msgspec

from domain.model.failure_table import FailureCode, FailureKind
from domain.model.failures import Delivery, Failure, with_fate
from domain.model.run_record import RunRecord


def failure_in(record: RunRecord, recorded: Failure, lost: Failure) -> Failure:
    """Why the run has ended without a whole answer: what its record says, or what its stream said."""
    if recorded.code is FailureCode.CANCELLED:
        # A run that was cancelled may still be writing down what it leaves behind.
        return recorded
    return judged(recorded if _says_less_than_record(lost) else lost, record, lost)


def judged(failure: Failure, record: RunRecord, lost: Failure) -> Failure:
    """That failure, with what the record says of the message. `lost` is what the stream said."""
    if record.remembered:
        return with_fate(failure, Delivery.YES)
    if record.over and lost.delivery is Delivery.YES:
        # The stream has told of what is stored only together with the message: one of the two is wrong.
        return in_doubt(failure)
    return with_fate(failure, Delivery.NO if record.over else Delivery.UNKNOWN)


def in_doubt(failure: Failure) -> Failure:
    """Record and stream contradict each other: nobody can know."""
    if _is_of_stream(failure):
        failure = Failure(FailureCode.ANSWER_INCOMPLETE, Delivery.UNKNOWN, "the record of its run contradicts it")
    return msgspec.structs.replace(with_fate(failure, Delivery.UNKNOWN), final=True)


def is_broken(failure: Failure) -> bool:
    """Whether only the connection has failed: the run may go on."""
    return failure.info.kind is FailureKind.CONNECTION


def _is_of_stream(failure: Failure) -> bool:
    """Whether it says what happened to the stream, and nothing of the run."""
    return is_broken(failure) or failure.code is FailureCode.ANSWER_INCOMPLETE


def _says_less_than_record(failure: Failure) -> bool:
    """Whether the record of the run says better why it has ended."""
    return _is_of_stream(failure) or failure.code is FailureCode.APPROVAL_PENDING
