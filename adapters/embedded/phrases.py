"""From English to intents: a table of phrasings, tried in order. Pure; never raises.

Every pattern has at most one open end (`.+`), so reading takes time in proportion to the length of the message."""

import re
from collections.abc import Callable, Sequence

from adapters.embedded.intents import (
    AddTodos,
    ClearTodos,
    Decide,
    FinishTodo,
    ForgetEverything,
    ForgetFact,
    Help,
    Intent,
    Introduce,
    ListTodos,
    RecallFacts,
    RememberFact,
    RemoveTodo,
    TooLong,
)
from adapters.embedded.message_text import STRAIGHT, stripped, tidied, unquoted

LONGEST_NOTE = 4000
"""Characters that one message may put into the notebook."""

Meaning = Intent | Callable[[str], Intent]
"""An intent, or what makes one of the words that the pattern caught."""


def parse(text: str) -> Intent:
    """The first phrasing of the table that fits the whole message, politeness and punctuation aside."""
    message, is_question = stripped(tidied(text))
    plain = message.translate(STRAIGHT)
    for pattern, meaning in _QUESTIONS + _PHRASINGS if is_question else _PHRASINGS:
        found = re.fullmatch(pattern, plain, re.IGNORECASE | re.DOTALL)
        if found is None:
            continue
        # The words are taken from the message itself, with its own apostrophes.
        words = message[found.start(1) : found.end(1)] if found.re.groups else ""
        if len(words) > LONGEST_NOTE:
            return TooLong()
        return meaning(words) if callable(meaning) else meaning
    return Help()


def _add(words: str) -> Intent:
    texts = dict.fromkeys(text for text in map(unquoted, _items(words)) if text)
    return AddTodos(tuple(texts)) if texts else Help()


def _items(words: str) -> Sequence[str]:
    """Lines, what semicolons separate, and `a, b and c`. A lone comma or a lone `and` is part of a todo."""
    items: list[str] = []
    for part in re.split(r"[;\n]", words):
        *heads, last = part.split(", ")
        with_and = last.startswith("and ")
        tail = [last.removeprefix("and ")] if with_and else last.split(" and ", 1)
        items += [*heads, *tail] if len(heads) > 1 or (heads and (with_and or len(tail) > 1)) else [part]
    return items


def _finish(words: str) -> Intent:
    which = _which(words)
    return ClearTodos() if which.casefold() in _ALL else FinishTodo(which) if which else Help()


def _remove(words: str) -> Intent:
    which = _which(words)
    return ClearTodos() if which.casefold() in _ALL else RemoveTodo(which) if which else Help()


def _remember(words: str) -> Intent:
    fact = unquoted(words.replace("\n", " "))
    return RememberFact(fact) if fact else Help()


def _recall(words: str) -> Intent:
    topic = unquoted(words.replace("\n", " "))
    if topic.casefold() in _YOU:
        return Introduce()
    return RecallFacts(None if topic.casefold() in _ME | _ALL else topic or None)


def _forget(words: str) -> Intent:
    which = _which(words)
    return ForgetEverything() if which.casefold() in _ME | _ALL else ForgetFact(which) if which else Help()


def _which(words: str) -> str:
    """The note that is meant, without "from my list", and as a bare number if it is one."""
    which = unquoted(re.sub(_FROM_LIST, "", words.replace("\n", " "), flags=re.IGNORECASE))
    number = re.fullmatch(_NUMBERED, which, re.IGNORECASE)
    return number[1] if number else which


def _phrasing(pattern: str, meaning: Meaning) -> tuple[str, Meaning]:
    """A blank in the pattern stands for a blank or a line break."""
    return pattern.replace(" ", r"\s"), meaning


_ALL = frozenset(
    ("everything", "all", "it all", "all of it", "all of them", "them all", "anything", "all todos", "all tasks")
)
_ME = frozenset(("me", "myself", "us"))
_YOU = frozenset(("you", "yourself", "lettabot", "you yourself", "this notebook"))

_LIST = (
    r"(?:(?:my|the|our|your) )?(?:(?:current|open|whole|entire|full|shopping|grocery) )?"
    r"(?:to[- ]?do(?:'?s)?(?:[- ]?(?:list|items))?|tasks?(?:[- ]?list)?|list)"
)
_TODO = r"(?:to[- ]?do|task|item|reminder)(?: item)?"
_KNOW = r"(?:know|remember|recall)"
_ABOUT = r"(?:about|of|on|regarding|concerning)"
_TOLD = r"(?:(?:did|have) i|i|i have|i've) (?:tell|told|say|said)(?: to)?(?: you)?"
_FROM_LIST = rf"(?: (?:from|on|off|in)(?: of)? {_LIST})$".replace(" ", r"\s")
_NUMBERED = r"(?:the\s)?(?:(?:to[-\s]?do|task|item|number|fact|note|no\.?)\s){0,2}#?\s?([0-9]{1,9})"

_QUESTIONS = (
    # "Can you remember my birthday?" asks; "Can you remember that it is in May?" tells.
    _phrasing(r"remember (?!that |to )(?:anything about |what i said about )?(.+)", _recall),
)

_PHRASINGS = (
    # What users are told to answer to agents that ask for approval.
    _phrasing(r"/(?:approve|deny|disapprove)(?: .*)?", Decide()),
    # Who are you?
    _phrasing(r"(?:who|what)(?: exactly)?(?: are you|'re you| is this| is lettabot|'s this)", Introduce()),
    _phrasing(r"who am i (?:talking|speaking|chatting|writing) (?:to|with)", Introduce()),
    _phrasing(r"(?:what(?:'s| is)|tell me) your name", Introduce()),
    _phrasing(r"are you (?:an? |the |really |letta|chatgpt|gpt|claude|human|real).*", Introduce()),
    _phrasing(r"(?:what|which) (?:kind of )?(?:ai |language )?(?:model|llm|agent|ai|bot) .*", Introduce()),
    _phrasing(r"introduce yourself", Introduce()),
    _phrasing(r"how (?:do|can|should) (?:i|we|you) (?:connect|use|configure|set up)(?: to)? letta\b.*", Introduce()),
    # What is on the list?
    _phrasing(rf"what(?:'s| is| are|s)(?: \w+)? (?:on|in) {_LIST}(?: \w+)?", ListTodos()),
    _phrasing(rf"what(?:'s| is| are|s) {_LIST}", ListTodos()),
    _phrasing(
        r"what (?:else )?(?:do|should|must) (?:i|we) (?:still )?(?:(?:have|need) )?(?:left )?(?:to )?do(?: \w+)?",
        ListTodos(),
    ),
    _phrasing(r"what(?:'s| is) (?:left|next|there)(?: (?:to do|for me to do))?", ListTodos()),
    _phrasing(r"(?:what|which|how many) (?:to-?dos|tasks|items|things) (?:do|are|have|should) .+", ListTodos()),
    _phrasing(
        rf"(?:(?:do (?:i|we) have|is there|are there) )?(?:anything|something)(?: \w+)? (?:on|in) {_LIST}", ListTodos()
    ),
    _phrasing(r"do (?:i|we) have (?:any|anything)(?: (?:open|left))? (?:to do|to-?dos|tasks)(?: .+)?", ListTodos()),
    _phrasing(rf"remind me (?:of )?(?:(?:what's|what is) on )?{_LIST}", ListTodos()),
    _phrasing(
        r"(?:(?:show|list|print|display|read|give|tell|see|view|check|get|open)(?: me)?(?: out)?(?: all)?(?: of)? )?"
        rf"(?:(?:what's|what is) on )?{_LIST}",
        ListTodos(),
    ),
    # Away with the whole list.
    _phrasing(rf"(?:clear|empty|wipe|reset)(?: out)?(?: all)?(?: of)? {_LIST}", ClearTodos()),
    _phrasing(
        r"(?:clear|empty|delete|remove|erase|finish|forget) (?:all|everything)(?: (?:the )?(?:items|things|entries))?"
        rf"(?: (?:of|from|on|in|off))? {_LIST}",
        ClearTodos(),
    ),
    _phrasing(
        r"(?:delete|remove|erase) (?:my|the|our) (?:whole |entire )?(?:to-?dos|tasks|(?:(?:to[- ]?do|task)[- ]?)?list)",
        ClearTodos(),
    ),
    # What do you know?
    _phrasing(
        rf"what (?:else )?(?:do you (?:still )?{_KNOW}|{_TOLD}(?: to remember)?)(?: (?:so far|already))?", RecallFacts()
    ),
    _phrasing(rf"what (?:else )?(?:do you (?:still )?{_KNOW}|{_TOLD}) {_ABOUT} (.+)", _recall),
    _phrasing(r"what have you (?:learned|learnt|noted|remembered|stored)(?: so far)?", RecallFacts()),
    _phrasing(r"what have you (?:learned|learnt|noted|remembered|stored) about (.+)", _recall),
    _phrasing(rf"do you (?:still )?{_KNOW} (?:anything|something|what i (?:said|told you)) about (.+)", _recall),
    _phrasing(r"do you (?:still )?(?:remember|recall) (?:that )?(.+)", _recall),
    _phrasing(
        r"(?:tell me(?: (?:everything|all|anything))?|(?:tell|remind) me (?:of )?what)"
        rf"(?: (?:that )?you {_KNOW})? about (.+)",
        _recall,
    ),
    _phrasing(
        rf"(?:tell|remind) me what (?:you {_KNOW}|i (?:told you|said))(?: about (?:me|everything))?", RecallFacts()
    ),
    _phrasing(r"(?:tell|remind) me what i (?:told you|said) about (.+)", _recall),
    _phrasing(
        r"(?:(?:show|list|print|display|tell|give)(?: me)?(?: all)?(?: of)? |what are )?(?:(?:my|the|your|all) )?"
        r"(?:facts|notes|memories)",
        RecallFacts(),
    ),
    _phrasing(
        r"(?:(?:show|list|print|tell|give)(?: me)? )?(?:(?:my|the|your|all) )?(?:facts|notes|memories) about (.+)",
        _recall,
    ),
    _phrasing(rf"(?:everything|all|what) (?:that )?you {_KNOW}(?: about me)?", RecallFacts()),
    _phrasing(r"recall (?:that )?(.+)", _recall),
    # Put something on the list.
    _phrasing(
        r"(?:add|put|write|note|place|include|append|jot)(?: down)? (.+) (?:to|on|onto|in|into)"
        rf" {_LIST}(?: (?:too|as well|now|also))?",
        _add,
    ),
    _phrasing(
        r"(?:add|put|write)(?: (?:these|this|the following))?(?: (?:items|things|to-?dos|tasks))?"
        rf" (?:to|on|onto) {_LIST} ?[:,-]? ?(?<= |:|,|-)(.+)",
        _add,
    ),
    _phrasing(r"(?:add|note|put|save) (.+) as an? (?:new )?(?:to-?do|task|item|reminder)", _add),
    _phrasing(
        rf"(?:add|create|make|set|new)(?: me)?(?: (?:an?|the|this|another))?(?: new)? {_TODO} ?[:,-]? (?!list\b)"
        r"(?:(?:for|to|called|named|saying|that says) )?(.+)",
        _add,
    ),
    _phrasing(rf"(?:new )?{_TODO}s? ?: ?(.+)", _add),
    _phrasing(r"remind me (?:that (?:i|we) (?:have|need|ought) to|to|about|of) (.+)", _add),
    _phrasing(r"(?:remember|(?:don't|do not|dont) (?:let me )?forget) to (.+)", _add),
    _phrasing(r"add (.+)", _add),
    # Done with something.
    _phrasing(r"(?:mark|set|check|tick) as (?:done|complete|completed|finished) ?:? (.+)", _finish),
    _phrasing(r"(?:mark|set|check|tick) (.+?) (?:as |to )?(?:done|complete|completed|finished)", _finish),
    _phrasing(r"(?:check|tick|cross|strike|mark) off (.+)", _finish),
    _phrasing(rf"(?:check|tick|cross|strike) (.+) off(?:(?: of)? {_LIST})?", _finish),
    _phrasing(
        r"(?:(?:i'm|i am|we're|we are|just|now|all|already) ){0,3}(?:done|finished|through) (?:with|doing) (.+)",
        _finish,
    ),
    _phrasing(
        r"(?:(?:i|i've|i have|we|we've|we have|just|now|already) ){0,3}(?:finish|complete)(?:ed|d)? (.+)",
        _finish,
    ),
    _phrasing(r"(?:i|i've|i have|we|we've|we have) (?:just |already |now )?(?:did|done) (.+)", _finish),
    _phrasing(r"done ?[:,-]? ?(?<= |:|,|-)(.+)", _finish),
    _phrasing(
        r"(?!(?:what|which|who|when|where|why|how|if|is|are|tell|show|remember|forget|note|remove|delete|don't|do)\b)"
        r"(.+) (?:is|are|has been|have been) (?:now |all |already )?(?:done|finished|completed)",
        _finish,
    ),
    # Forget a fact. Before removing, which would take "delete the fact that ..." for a todo.
    _phrasing(
        r"(?:remove|delete|erase|forget) (?:the|this|that) (?:fact|note|memory) ?:? (?:about |that )?(.+)", _forget
    ),
    _phrasing(
        r"(?:delete|erase|forget) (?:everything|all|what)"
        rf"(?: (?:that )?(?:you {_KNOW}|i (?:told you|said)))? about (.+)",
        _forget,
    ),
    _phrasing(
        rf"(?:delete|erase|forget) (?:everything|all|what)(?: (?:that )?(?:you {_KNOW}|i (?:told you|said))"
        r"|(?: of)? (?:the |my |your )?(?:facts|notes|memories))",
        ForgetEverything(),
    ),
    _phrasing(
        r"(?:clear|wipe|erase|delete|reset) (?:all )?(?:(?:the|my|your) )?(?:memory|facts|notes|memories)",
        ForgetEverything(),
    ),
    # Take something off the list.
    _phrasing(
        rf"(?:remove|delete|drop|take|strike|scratch|erase|cancel) (.+) (?:from|off|off of|on|in) {_LIST}", _remove
    ),
    _phrasing(rf"(?:remove|delete|drop|strike|scratch|erase|cancel|forget) (?:(?:the|my) )?{_TODO} ?:? (.+)", _remove),
    _phrasing(r"(?:remove|delete|erase|cancel) (.+)", _remove),
    # Facts to keep, and to forget.
    _phrasing(
        r"(?:remember|memori[sz]e|note|keep in mind|bear in mind|(?:don't|do not|dont) (?:ever )?forget"
        r"|(?:make|take) a (?:mental )?note|write down|jot down|fyi)(?: down)?(?: the fact)?"
        r"(?:(?: this| the following)? ?[:,])? ?(?<= |:|,)(?:(?:that|of|about) )?(.+)",
        _remember,
    ),
    _phrasing(r"forget (?:about )?(?:that )?(.+)", _forget),
)
