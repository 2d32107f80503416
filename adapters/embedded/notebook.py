"""The notebook: agents, their todos and their facts in one SQLite file. Each method is one transaction.

Several processes may use the file at once. Calls block, so they belong on a worker thread (see gateway.py)."""

import os
import re
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from adapters.file_trust import look_at
from domain.model.agent import Agent

VERSION = 2
PATIENCE = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA = (
    """CREATE TABLE agents (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL
    )""",
    """CREATE TABLE todos (
        number INTEGER PRIMARY KEY, agent_id TEXT NOT NULL REFERENCES agents (id), text TEXT NOT NULL
    )""",
    """CREATE TABLE facts (
        number INTEGER PRIMARY KEY, agent_id TEXT NOT NULL REFERENCES agents (id), text TEXT NOT NULL
    )""",
    "CREATE INDEX todos_of_agent ON todos (agent_id)",
    "CREATE INDEX facts_of_agent ON facts (agent_id)",
)
# What version 2 has beside: what was said (conversations.py).
_CONVERSATIONS = (
    """CREATE TABLE conversations (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
        agent_id TEXT NOT NULL REFERENCES agents (id), created_at REAL NOT NULL, summary TEXT NOT NULL
    )""",
    """CREATE TABLE messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT, agent_id TEXT NOT NULL REFERENCES agents (id),
        conversation TEXT NOT NULL, said_at REAL NOT NULL, said TEXT NOT NULL, reply BLOB NOT NULL
    )""",
    "CREATE INDEX conversations_of_agent ON conversations (agent_id)",
    "CREATE INDEX messages_of_agent ON messages (agent_id)",
    "CREATE INDEX messages_of_conversation ON messages (agent_id, conversation)",
    f"PRAGMA user_version = {VERSION}",
)

_SMALL_WORDS = (
    "a about am an and are as at be can did do for from have has i in is it its me my of on or our that the their"
    " they this to was we were with you your"
)


class NotebookError(Exception):
    """The file cannot be used; the message says which file, why, and what to do."""


class Added(msgspec.Struct, frozen=True):
    """What is new in the notebook, and what stood there before."""

    new: tuple[str, ...]
    known: tuple[str, ...]


class Taken(msgspec.Struct, frozen=True):
    """The note that was taken out; or None, and the notes that could have been meant."""

    text: str | None
    candidates: tuple[str, ...] = ()


class Notebook:
    """Opens the file, and makes it if there is none. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        for ending in ("", "-wal", "-shm", "-journal"):
            finding = look_at(path.with_name(path.name + ending))
            if finding is not None and finding.refused:
                raise NotebookError(finding.text)
        with self._honestly():
            path.parent.mkdir(parents=True, exist_ok=True)
            _create_private(path)
            self._file = _identity(path)
            self._db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except NotebookError:
            self._db.close()
            raise

    def enrol(self, names: Sequence[str]) -> Sequence[Agent]:
        """The agents of these names, oldest first. Those that are new here get an id and a time of creation."""
        with self.writing():
            for name in names:
                self._db.execute(
                    "INSERT INTO agents (id, name, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
                    (f"agent-{uuid.uuid4()}", name, int(time.time())),
                )
            rows = self._db.execute("SELECT id, name, created_at FROM agents ORDER BY created_at, number").fetchall()
        return [Agent(*row) for row in rows if row[1] in names]

    def check(self) -> None:
        """Return if the file can be read and nobody took it away."""
        with self.reading():
            self._db.execute("SELECT count(*) FROM agents").fetchone()

    def add_todos(self, agent_id: str, texts: Sequence[str]) -> Added:
        return self._add("todos", agent_id, texts)

    def todos(self, agent_id: str) -> Sequence[str]:
        """In the order in which they were added."""
        return self._texts("todos", agent_id)

    def take_todo(self, agent_id: str, which: str) -> Taken:
        """Take out the one todo that `which` means: its text, its number on the list, or words in it."""
        return self._take("todos", agent_id, which)

    def clear_todos(self, agent_id: str) -> int:
        return self._clear("todos", agent_id)

    def add_fact(self, agent_id: str, text: str) -> Added:
        return self._add("facts", agent_id, [text])

    def facts(self, agent_id: str, topic: str | None = None) -> Sequence[str]:
        """All of them, or those that hold all words of the topic, or else those that hold any."""
        facts = self._texts("facts", agent_id)
        if topic is None:
            return facts
        wanted = _words(topic)
        by_all = [fact for fact in facts if wanted and wanted <= _words(fact)]
        return by_all or [fact for fact in facts if wanted & _words(fact)]

    def take_fact(self, agent_id: str, which: str) -> Taken:
        """Take out the one fact that `which` means: its text, its number, or words in it."""
        return self._take("facts", agent_id, which)

    def clear_facts(self, agent_id: str) -> int:
        return self._clear("facts", agent_id)

    def close(self) -> None:
        with self._honestly():
            self._db.close()

    def _prepare(self) -> None:
        with self._honestly():
            self._db.execute("PRAGMA foreign_keys = ON")
            damage = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise NotebookError(self._sentence("it is damaged"))
            _use_write_ahead_log(self._db)
        with self.writing():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise NotebookError(self._sentence("it was written by a newer lettabot"))
            if version == 0 and self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise NotebookError(self._sentence("it is some other program's SQLite file"))
            for statement in (*(_SCHEMA if version == 0 else ()), *(_CONVERSATIONS if version < VERSION else ())):
                self._db.execute(statement)

    def _add(self, table: str, agent_id: str, texts: Sequence[str]) -> Added:
        new: list[str] = []
        known: list[str] = []
        with self.writing():
            standing = {text.casefold() for _, text in self._rows(table, agent_id)}
            for text in texts:
                if text.casefold() in standing:
                    known.append(text)
                    continue
                self._db.execute(f"INSERT INTO {table} (agent_id, text) VALUES (?, ?)", (agent_id, text))  # noqa: S608
                standing.add(text.casefold())
                new.append(text)
        return Added(tuple(new), tuple(known))

    def _texts(self, table: str, agent_id: str) -> Sequence[str]:
        with self.reading():
            return [text for _, text in self._rows(table, agent_id)]

    def _take(self, table: str, agent_id: str, which: str) -> Taken:
        with self.writing():
            meant = _meant(self._rows(table, agent_id), which)
            if len(meant) != 1:
                return Taken(None, tuple(text for _, text in meant))
            [(number, text)] = meant
            self._db.execute(f"DELETE FROM {table} WHERE number = ?", (number,))  # noqa: S608
            return Taken(text)

    def _clear(self, table: str, agent_id: str) -> int:
        with self.writing():
            return self._db.execute(f"DELETE FROM {table} WHERE agent_id = ?", (agent_id,)).rowcount  # noqa: S608

    def _rows(self, table: str, agent_id: str) -> Sequence[tuple[int, str]]:
        return self._db.execute(
            f"SELECT number, text FROM {table} WHERE agent_id = ? ORDER BY number",  # noqa: S608
            (agent_id,),
        ).fetchall()

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._transaction("BEGIN")

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        # IMMEDIATE: what a writer reads first must not change under it.
        return self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._honestly():
            if _identity(self._path) != self._file:
                # SQLite would go on writing into a file that has no name any more.
                raise NotebookError(f"The notebook {self._path} was replaced while it was open; restart lettabot.")
            self._db.execute(begin)
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _honestly(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise NotebookError(self._sentence(str(error))) from error

    def _sentence(self, why: str) -> str:
        return (
            f"The notebook {self._path} cannot be used: {why}. Make the file and its directory readable and writable,"
            " or move the file away to start with an empty one."
        )


def _create_private(path: Path) -> None:
    """SQLite would make the file readable for all; its -wal and -shm files copy the mode of the file."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """SQLite's own patience does not cover this switch, which several processes may try at once on a new file."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _meant(notes: Sequence[tuple[int, str]], which: str) -> Sequence[tuple[int, str]]:
    """The notes that these words can mean, by the surest reading that finds any."""
    wanted = which.casefold()
    same = [note for note in notes if note[1].casefold() == wanted]
    if same:
        return same[:1]
    if which.isdecimal() and len(which) < 10:
        return notes[int(which) - 1 : int(which)] if int(which) else ()
    words = _words(which)
    return [note for note in notes if words and words <= _words(note[1])]


def _words(text: str) -> frozenset[str]:
    """The words that carry meaning, without case and without the `s` of a plural or a genitive."""
    words = {word.removesuffix("'s") for word in re.findall(r"[\w'-]+", text.casefold().replace("’", "'"))}
    return frozenset(word.removesuffix("s") for word in words.difference(_SMALL_WORDS.split()))
