"""What operators see of turns, of all processes that share the state, and how they stop one."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from domain.model.api_key import Caller
from domain.model.failure_table import FailureCode
from domain.model.failures import FailureError
from domain.model.turn_report import TurnReport, TurnStage
from domain.services.turn_feed import TurnFeed, TurnView
from domain.services.turn_monitor import MOST_KEPT, TurnMonitor
from domain.services.turn_stopper import TurnStopper
from ports.turn_reports import KEPT_FOR, TOLD_EVERY, TurnReportStore

# Seconds between two writes of what has changed, and between two looks at what others have written.
TELL_EVERY = 1.0
LOOK_EVERY = 1.0
# Reports that one write may hold.
MOST_AT_ONCE = 500

logger = logging.getLogger(__name__)


class TurnReports:
    """`store`: None for a process that is alone. Methods with a caller show it only what it may see."""

    def __init__(self, monitor: TurnMonitor, stopper: TurnStopper, store: TurnReportStore | None) -> None:
        self._monitor = monitor
        self._stopper = stopper
        self._store = store
        self._feed = TurnFeed(self._known)
        self._told: dict[str, tuple[TurnReport, float]] = {}
        self._remote: Mapping[str, TurnReport] = {}
        self._looked_at = 0.0
        self._has_failed = False

    async def recent(self, caller: Caller, since: float, most: int) -> Sequence[TurnReport]:
        """The turns that were asked for since then (seconds since 1970), so many at most, the newest first."""
        known = sorted((await self._known()).values(), key=lambda report: report.id, reverse=True)
        return [report for report in known if report.asked_at >= since and may_see(caller, report)][:most]

    async def find(self, turn_id: str, caller: Caller) -> TurnReport | None:
        """None: there is none of that id, not any more, or it is not for this caller."""
        if (live := self._monitor.live(turn_id)) is not None:
            report: TurnReport | None = self._monitor.report_of(live)
        else:
            report = next((each for each in self._monitor.last() if each.id == turn_id), None)
            if report is None and self._store is not None:
                report = await self._store.find(turn_id)
        return report if report is not None and may_see(caller, report) else None

    async def stop(self, report: TurnReport) -> None:
        """Have this turn end soon: its clients are told that it was cancelled, and what became of the message."""
        if not self._stop_here(report.id) and self._store is not None:
            await self._store.ask_to_stop(report.id)

    def watch(self) -> TurnView:
        """What changes from now on. Has to be closed."""
        return self._feed.view()

    def close(self) -> None:
        """The service stops: nobody watches any more."""
        self._feed.close()

    async def serve(self) -> None:
        """Tell the other processes of the turns here, and stop those that they want stopped; until it is cancelled."""
        while self._store is not None:
            await asyncio.sleep(TELL_EVERY)
            try:
                await self._tell(self._store)
                if any(report.stage is not TurnStage.ENDED for report, _ in self._told.values()):
                    for turn_id in await self._store.to_stop():
                        self._stop_here(turn_id)
                self._has_failed = False
            except FailureError as error:
                if not self._has_failed:
                    logger.warning("Other processes cannot be told of the turns here: %s", error)
                self._has_failed = True
            except Exception:
                logger.exception("Reports of turns could not be told, because of a bug in this service")

    async def _tell(self, store: TurnReportStore) -> None:
        now = time.time()
        current = [*self._monitor.last(), *self._monitor.running()]
        changed = [report for report in current if self._is_news(report, now)][-MOST_AT_ONCE:]
        if changed:
            await store.write(changed)
        ids = {report.id for report in current}
        self._told = {id_: told for id_, told in self._told.items() if id_ in ids}
        self._told |= {report.id: (report, now) for report in changed}

    def _is_news(self, report: TurnReport, now: float) -> bool:
        told, at = self._told.get(report.id, (None, 0.0))
        if told is report:
            # Of a turn that has ended: there are many of these.
            return False
        is_due = report.stage is not TurnStage.ENDED and now - at >= TOLD_EVERY
        return told != report or is_due

    def _stop_here(self, turn_id: str) -> bool:
        """Whether the turn goes on in this process."""
        if (live := self._monitor.live(turn_id)) is None:
            return False
        if live.progress.stop_code is None and not live.progress.log.ended:
            logger.info("A turn is stopped, because somebody asked for it", extra={"agent": live.request.agent.id})
            self._stopper.end(live, FailureCode.CANCELLED)
        return True

    async def _known(self) -> Mapping[str, TurnReport]:
        """By id: what this process knows of its own turns, and what the others have told of theirs."""
        own = {report.id: report for report in (*self._monitor.last(), *self._monitor.running())}
        return {**await self._others(), **own}

    async def _others(self) -> Mapping[str, TurnReport]:
        now = time.time()
        if self._store is not None and now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            found = await self._store.recent(now - KEPT_FOR, MOST_KEPT)
            self._remote = {report.id: report for report in found}
        return self._remote


def may_see(caller: Caller, report: TurnReport) -> bool:
    """Whether the turn is this caller's, or the caller may see all."""
    return caller.is_admin or report.owner == caller.id
