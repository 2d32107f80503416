"""The stores in the database, each made when it is first asked: only then is SQLAlchemy imported, in a thread."""

from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any, cast

from adapters.sql.state import State
from ports.approval_store import ApprovalStore
from ports.client_conversation_store import ClientConversationStore
from ports.conversation_store import ConversationStore
from ports.history_store import HistoryStore
from ports.job_store import JobStore
from ports.response_store import ResponseStore
from ports.turn_reports import TurnReportStore
from ports.turn_store import TurnStore


class _LazyStore:
    """Stands for an object of that class, whose methods are all asynchronous.

    `if_absent`: by method, what it returns while there is no database in which anything can have been kept. Asking
    then makes no file."""

    def __init__(self, state: State, class_name: str, *arguments: object, if_absent: Mapping[str, object]) -> None:
        self._state = state
        self._class_name = class_name
        self._arguments = arguments
        self._if_absent = if_absent
        self._store: Any = None

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*arguments: object, **named: object) -> Any:
            if method in self._if_absent and not self._state.exists():
                return self._if_absent[method]
            if self._store is None:
                self._store = await self._made()
            return await getattr(self._store, method)(*arguments, **named)

        return call

    async def _made(self) -> object:
        database = await self._state.database()
        module_name, _, name = self._class_name.rpartition(".")
        # It was imported with the database, so that this takes no time.
        module = import_module(module_name)
        # Somebody else may have made one meanwhile; there is no harm in two.
        return getattr(module, name)(database, *self._arguments)


def lazy_conversation_store(state: State) -> ConversationStore:
    """Raises as the store does, and when the database cannot be opened; so do all."""
    absent: Mapping[str, object] = {
        "find": None,
        "of_chat": {},
        "chats_of": {},
        "of_owner": {},
        "was_assigned": False,
        "forget": None,
    }
    name = "adapters.sql.conversation_store.SqlConversationStore"
    return cast("ConversationStore", _LazyStore(state, name, if_absent=absent))


def lazy_approval_store(state: State) -> ApprovalStore:
    absent = {"asked_of": frozenset[str]()}
    return cast("ApprovalStore", _LazyStore(state, "adapters.sql.approval_store.SqlApprovalStore", if_absent=absent))


def lazy_history_store(state: State) -> HistoryStore:
    absent: Mapping[str, object] = {"read": (), "listed": (), "list_of": None, "name": None, "forget": None}
    return cast("HistoryStore", _LazyStore(state, "adapters.sql.history_store.SqlHistoryStore", if_absent=absent))


def lazy_response_store(state: State, kept_for: float, texts_kept_for: float) -> ResponseStore:
    """`kept_for`, `texts_kept_for`: see `SqlResponseStore`."""
    absent: Mapping[str, object] = {
        "find": None,
        "input": None,
        "events": (),
        "delete": None,
        "head": None,
        "is_used": False,
    }
    name = "adapters.sql.response_store.SqlResponseStore"
    return cast("ResponseStore", _LazyStore(state, name, kept_for, texts_kept_for, if_absent=absent))


def lazy_client_conversation_store(state: State) -> ClientConversationStore:
    absent: Mapping[str, object] = {"find": None, "items": ()}
    name = "adapters.sql.client_conversation_store.SqlClientConversationStore"
    return cast("ClientConversationStore", _LazyStore(state, name, if_absent=absent))


def lazy_turn_report_store(state: State) -> TurnReportStore:
    absent: Mapping[str, object] = {"recent": (), "find": None, "to_stop": ()}
    name = "adapters.sql.turn_report_store.SqlTurnReportStore"
    return cast("TurnReportStore", _LazyStore(state, name, if_absent=absent))


def lazy_turn_store(state: State, answers_kept_for: float) -> TurnStore:
    """`answers_kept_for`: see `SqlTurnStore`."""
    return cast("TurnStore", _LazyStore(state, "adapters.sql.turn_store.SqlTurnStore", answers_kept_for, if_absent={}))


def lazy_job_store(state: State, answers_kept_for: float) -> JobStore:
    """`answers_kept_for`: see `SqlJobStore`."""
    absent: Mapping[str, object] = {"open": (), "counts": {}, "recent": ()}
    return cast("JobStore", _LazyStore(state, "adapters.sql.job_store.SqlJobStore", answers_kept_for, if_absent=absent))
