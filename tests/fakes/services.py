"""The services around turns, wired as the container wires them, with a fake gateway at the bottom."""

import asyncio
import itertools
from collections.abc import Sequence

from adapters.memory.approval_book import MemoryApprovalBook
from adapters.memory.conversation_book import MemoryConversationBook
from adapters.memory.lane_tickets import MemoryLaneTickets
from adapters.memory.turn_ledger import MemoryTurnLedger
from domain.model.answer_text import whole_text
from domain.model.events import Failed, TurnEvent
from domain.model.failures import Failure
from domain.model.identity import Identity
from domain.model.turn import TurnRequest, UserMessage
from domain.model.turn_rules import TurnRules
from domain.services.approving import Approving
from domain.services.conversations import Conversations
from domain.services.delivering import Delivering
from domain.services.lanes import Lanes
from domain.services.recording import Recording
from domain.services.recovering import Recovering
from domain.services.retries import Retries
from domain.services.rosters import Rosters
from domain.services.turns import Reading, Turns
from domain.services.wording import Wording
from ports.agent_gateway import AgentGateway
from ports.approval_book import ApprovalBook
from ports.conversation_book import ConversationBook
from ports.lane_tickets import LaneTickets
from ports.turn_ledger import TurnLedger
from tests.fakes.gateway import ANNA

_unique = itertools.count()


def turns_of(
    gateway: AgentGateway,
    rules: TurnRules | None = None,
    rosters: Rosters | None = None,
    ledger: TurnLedger | None = None,
    book: ConversationBook | None = None,
    tickets: LaneTickets | None = None,
    approvals: ApprovalBook | None = None,
) -> Turns:
    rules = rules or TurnRules()
    wording = Wording()
    conversations = Conversations(gateway, book or MemoryConversationBook())
    approving = Approving(approvals or MemoryApprovalBook())
    delivering = Delivering(gateway, conversations, approving, wording, Recovering(gateway, rules), rules)
    retries = Retries(rules)
    recording = Recording(delivering, retries, ledger or MemoryTurnLedger(), rules)
    lanes = Lanes(rules.max_waiting, rules.max_waiting_overall)
    tickets = tickets or MemoryLaneTickets()
    return Turns(recording, delivering, wording, retries, lanes, tickets, rosters or Rosters(gateway), rules)


class Client:
    """Asks as an SDK does: `text` and `body` say what is sent, and `sync` whether it wants the answer whole."""

    def __init__(self, turns: Turns, sync: bool = False) -> None:
        self.turns = turns
        self.sync = sync

    def ask(self, request: TurnRequest | str, identity: Identity | bytes | None = None) -> "Asked":
        """Without an identity, a request like no other."""
        if isinstance(request, str):
            request = TurnRequest(ANNA, UserMessage(request))
        if not isinstance(identity, Identity):
            identity = Identity(identity or f"unique {next(_unique)}".encode())
        return Asked(self.turns.begin(request, identity), self.sync)


class Asked:
    """A request that is under way: wait for it, or hang up."""

    def __init__(self, reading: Reading, sync: bool) -> None:
        self.reading = reading
        self.replayed = reading.replayed
        self._sync = sync
        self.events: list[TurnEvent] = []

    async def answer(self) -> Sequence[TurnEvent]:
        """All events; the client stays to the end."""
        while not self.reading.reader.finished:
            self.events += await self.reading.reader.take()
        self.reading.leave(not isinstance(self.events[-1], Failed), will_ask_again=self._sync)
        return self.events

    async def text(self) -> str:
        events = await self.answer()
        assert not isinstance(events[-1], Failed), events[-1]
        return whole_text(events)

    async def failure(self) -> Failure:
        last = (await self.answer())[-1]
        assert isinstance(last, Failed), last
        return last.failure

    async def hang_up_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.hang_up()

    def hang_up(self) -> None:
        self.reading.leave(whole=False, will_ask_again=self._sync)
