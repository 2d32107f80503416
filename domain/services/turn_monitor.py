"""Knows the turns of this process, those that go on and the last that have ended, as reports for operators; and tells
observers what happens to them. Nothing here changes a turn."""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice

import msgspec

from domain.model.answer_text import whole_text
from domain.model.events import Failed, Text, ToolCall, TurnEvent, Usage
from domain.model.identity import Identity
from domain.model.turn_report import LONGEST_TEXT, MOST_TOOLS, TurnReport, TurnStage
from domain.services.live_turn import LiveTurn
from ports.turn_observer import PreventionRule, TurnObserver

# Turns that have ended are known for so many seconds, and so many of them.
KEPT_FOR = 3600.0
MOST_KEPT = 2000


class TurnMonitor:
    """`with_texts`: whether reports tell what was said."""

    def __init__(self, observers: Sequence[TurnObserver] = (), with_texts: bool = False) -> None:
        self._observers = observers
        self._with_texts = with_texts
        self._live: dict[str, LiveTurn] = {}
        self._tallies: dict[str, _Tally] = {}
        self._ended: OrderedDict[str, TurnReport] = OrderedDict()

    @contextmanager
    def begin(self, live: LiveTurn) -> Iterator[None]:
        """The turn was asked for; it is started within this context."""
        self._live[live.id], self._tallies[live.id] = live, _Tally()
        if not self._observers:
            yield
            return
        live.progress.milestones.tell_acceptance(lambda: self._accepted(live))
        report = self.report_of(live)
        with ExitStack() as stack:
            for observer in self._observers:
                stack.enter_context(observer.began(report))
            yield

    def ended(self, live: LiveTurn) -> None:
        """The turn has ended; its log is still whole."""
        report = self.report_of(live)
        del self._live[live.id], self._tallies[live.id]
        self._ended[report.id] = report
        if len(self._ended) > MOST_KEPT:
            self._ended.popitem(last=False)
        for observer in self._observers:
            observer.ended(report)
        if report.is_replay:
            self._prevented(_rule_of(live.identity), live.id)

    def retried(self, identity: Identity, earlier: LiveTurn) -> None:
        """A request that is known by this got that earlier turn instead of a second delivery."""
        earlier.retries += 1
        if (report := self._ended.get(earlier.id)) is not None:
            self._ended[earlier.id] = msgspec.structs.replace(report, retries=earlier.retries)
        self._prevented(_rule_of(identity), earlier.id)

    def own_call_answered(self) -> None:
        """A client has answered a tool call that the agent had carried out itself, and nothing was delivered."""
        self._prevented(PreventionRule.TOOL_RESULT, "")

    def live(self, turn_id: str) -> LiveTurn | None:
        """The turn with that id, if it goes on in this process."""
        return self._live.get(turn_id)

    def running(self) -> Sequence[TurnReport]:
        """The turns that go on, oldest first."""
        return [self.report_of(live) for live in self._live.values()]

    def last(self) -> Sequence[TurnReport]:
        """The turns that have ended within `KEPT_FOR` seconds, in the order of their ends."""
        since = time.time() - KEPT_FOR
        while self._ended and (next(iter(self._ended.values())).ended_at or 0.0) < since:
            self._ended.popitem(last=False)
        return list(self._ended.values())

    def report_of(self, live: LiveTurn) -> TurnReport:
        """The turn as it is now."""
        request, progress, log = live.request, live.progress, live.progress.log
        milestones = progress.milestones
        last = log.events[-1] if log.ended else None
        tally = self._tallies[live.id]
        tally.count(log.events)
        stage = TurnStage.WAITING if milestones.sent_at is None else TurnStage.RUNNING
        return TurnReport(
            id=live.id,
            agent=request.agent,
            owner=request.owner,
            chat=request.chat,
            asked_at=live.asked_at,
            stage=TurnStage.ENDED if log.ended else stage,
            place=live.place.waits_behind() if stage is TurnStage.WAITING and not log.ended else 0,
            sent_at=milestones.sent_at,
            accepted_at=milestones.accepted_at,
            first_word_at=log.first_word_at,
            ended_at=log.ended_at if log.ended else None,
            failure=last.failure if isinstance(last, Failed) else None,
            is_replay=progress.is_replay,
            prompt_tokens=tally.usage.prompt_tokens,
            completion_tokens=tally.usage.completion_tokens,
            tools=dict(tally.tools),
            retries=live.retries,
            recovered_from=milestones.recovered_from,
            job=live.identity.job,
            response=progress.response_id,
            question=_shown(request.message.text) if self._with_texts else None,
            # A long answer is not put together again and again while it comes.
            answer=_shown(whole_text(log.events)) if self._with_texts and log.ended else None,
        )

    def _prevented(self, rule: PreventionRule, turn_id: str) -> None:
        for observer in self._observers:
            observer.prevented(rule, turn_id)

    def _accepted(self, live: LiveTurn) -> None:
        for observer in self._observers:
            observer.accepted(live.request.agent)


class _Tally:
    """What is counted in the log of a turn. Each event is looked at once, however often somebody asks."""

    def __init__(self) -> None:
        self.tools: dict[str, int] = {}
        self.usage = Usage(0, 0)
        self._counted = 0

    def count(self, events: Sequence[TurnEvent]) -> None:
        for event in islice(events, self._counted, None):
            if isinstance(event, Text):
                continue
            if (
                isinstance(event, ToolCall)
                and event.name
                and (event.name in self.tools or len(self.tools) < MOST_TOOLS)
            ):
                self.tools[event.name] = self.tools.get(event.name, 0) + 1
            elif isinstance(event, Usage):
                self.usage = event
        self._counted = len(events)


def _shown(text: str) -> str:
    """Its beginning. Clients may send halves of characters, which nobody can write down."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def _rule_of(identity: Identity) -> PreventionRule:
    if identity.job is not None:
        return PreventionRule.JOB
    if identity.idempotency_key is not None:
        return PreventionRule.IDEMPOTENCY_KEY
    return PreventionRule.BODY if identity.message_id is None else PreventionRule.MESSAGE_ID
