"""Reports of turns in memory: of processes that are one, as in tests."""

import time
from collections.abc import Sequence

import msgspec

from domain.model.turn_report import TurnReport, TurnStage
from ports.turn_reports import KEPT_FOR, LOST_AFTER, MOST_KEPT


class SharedTurnReports:
    """What all processes have told."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[str, float, TurnReport]] = {}
        self.to_stop: set[str] = set()


class MemoryTurnReportStore:
    """`ports.TurnReportStore`, of the process with that name."""

    def __init__(self, shared: SharedTurnReports, name: str) -> None:
        self._shared = shared
        self._name = name

    async def write(self, reports: Sequence[TurnReport]) -> None:
        now = time.time()
        self._shared.told |= {report.id: (self._name, now, report) for report in reports}
        for id_ in sorted(self._shared.told)[:-MOST_KEPT]:
            del self._shared.told[id_]

    async def recent(self, since: float, most: int) -> Sequence[TurnReport]:
        since = max(since, time.time() - KEPT_FOR)
        newest = sorted(self._shared.told, reverse=True)
        found = [report for id_ in newest if (report := await self.find(id_)) is not None and report.asked_at >= since]
        return found[:most]

    async def find(self, turn_id: str) -> TurnReport | None:
        if turn_id not in self._shared.told:
            return None
        _, seen_at, report = self._shared.told[turn_id]
        is_lost = report.stage is not TurnStage.ENDED and seen_at < time.time() - LOST_AFTER
        return msgspec.structs.replace(report, stage=TurnStage.LOST) if is_lost else report

    async def ask_to_stop(self, turn_id: str) -> None:
        self._shared.to_stop.add(turn_id)

    async def to_stop(self) -> Sequence[str]:
        return [
            id_
            for id_, (name, _, report) in self._shared.told.items()
            if id_ in self._shared.to_stop and name == self._name and report.stage is not TurnStage.ENDED
        ]
