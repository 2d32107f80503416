"""What a user can ask of the notebook. How it is said in English stands in phrases.py."""

import msgspec


class AddTodos(msgspec.Struct, frozen=True):
    """At least one, none of them blank."""

    texts: tuple[str, ...]


class ListTodos(msgspec.Struct, frozen=True):
    pass


class FinishTodo(msgspec.Struct, frozen=True):
    """`which` is the text of a todo, words in it, or its number on the list."""

    which: str


class RemoveTodo(msgspec.Struct, frozen=True):
    which: str


class ClearTodos(msgspec.Struct, frozen=True):
    pass


class RememberFact(msgspec.Struct, frozen=True):
    text: str


class RecallFacts(msgspec.Struct, frozen=True):
    """No topic means everything."""

    topic: str | None = None


class ForgetFact(msgspec.Struct, frozen=True):
    which: str


class ForgetEverything(msgspec.Struct, frozen=True):
    pass


class Introduce(msgspec.Struct, frozen=True):
    """Who or what are you?"""


class Decide(msgspec.Struct, frozen=True):
    """Approves or denies what some agent wants to do."""


class GoOn(msgspec.Struct, frozen=True):
    """Asks for more of the last answer."""


class TooLong(msgspec.Struct, frozen=True):
    """Asks for a note that is longer than a note may be."""


class Help(msgspec.Struct, frozen=True):
    """Anything else."""


Intent = (
    AddTodos
    | ListTodos
    | FinishTodo
    | RemoveTodo
    | ClearTodos
    | RememberFact
    | RecallFacts
    | ForgetFact
    | ForgetEverything
    | Introduce
    | Decide
    | GoOn
    | TooLong
    | Help
)
