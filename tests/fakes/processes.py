"""Several processes of the service before one backend, with one state, as a load balancer sees them."""

import msgspec

from adapters.memory.conversation_store import MemoryConversationStore
from adapters.memory.turn_store import MemoryTurnStore
from domain.model.turn_rules import TurnRules
from domain.services.turns import Turns
from ports.agent_gateway import AgentGateway
from tests.fakes.services import Client, turns_of
from tests.fakes.tickets import TicketBoard
from tests.fakes.turn_store import MortalTurnStore


class Processes:
    """`turns` of each of them."""

    def __init__(self, gateway: AgentGateway, count: int = 2, rules: TurnRules | None = None) -> None:
        rules = msgspec.structs.replace(rules or TurnRules(), shared=True)
        kept, store = MemoryTurnStore(), MemoryConversationStore()
        self.board = TicketBoard()
        self.turn_stores = [MortalTurnStore(kept) for _ in range(count)]
        self.tickets = [self.board.of(f"process {number}", turns) for number, turns in enumerate(self.turn_stores)]
        self.turns: list[Turns] = [
            turns_of(gateway, rules, turn_store=turn_store, conversation_store=store, tickets=tickets)
            for turn_store, tickets in zip(self.turn_stores, self.tickets, strict=True)
        ]

    def client(self, number: int, sync: bool = False) -> Client:
        """Of that process."""
        return Client(self.turns[number], sync)

    def kill(self, number: int) -> None:
        """What runs on the backend goes on."""
        self.turn_stores[number].dead = True
        self.board.dead.add(f"process {number}")
