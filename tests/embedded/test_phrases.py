"""What the notebook understands, by table; and that no text at all can trip or stall it."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.embedded.intents import (
    AddTodos,
    ClearTodos,
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
from adapters.embedded.phrases import LONGEST_NOTE, parse

ADDING = {
    "add buy milk to my todo list": ("buy milk",),
    "Add buy milk to my to-do list.": ("buy milk",),
    "ADD BUY MILK TO MY TODO LIST!": ("BUY MILK",),
    "please add buy milk to the list": ("buy milk",),
    "Could you add buy milk to my todos, please?": ("buy milk",),
    "hey Anna, add buy milk to my list, thanks!": ("buy milk",),
    "I'd like you to put buy milk on my to do list": ("buy milk",),
    "add buy milk": ("buy milk",),
    "add buy milk as a todo": ("buy milk",),
    "add a todo: buy milk": ("buy milk",),
    "create a task to buy milk": ("buy milk",),
    "todo: buy milk": ("buy milk",),
    "add to my list: buy milk": ("buy milk",),
    "add to my to do list buy milk": ("buy milk",),
    "remind me to buy milk": ("buy milk",),
    "remind me about the dentist": ("the dentist",),
    "remember to buy milk": ("buy milk",),
    "don’t forget to buy milk": ("buy milk",),
    'add "buy milk" to my list': ("buy milk",),
    "add “buy Ann’s milk” to my list": ("buy Ann’s milk",),
    "add buy milk and eggs to my list": ("buy milk and eggs",),
    "add a coat, size 8 to my list": ("a coat, size 8",),
    "add milk, eggs and bread to my list": ("milk", "eggs", "bread"),
    "add milk, eggs, and bread": ("milk", "eggs", "bread"),
    "add milk; eggs; milk to my list": ("milk", "eggs"),
    "Add these to my list:\n- milk\n- [ ] eggs\n\n2. bread\n": ("milk", "eggs", "bread"),
}

ASKING: dict[str, Intent] = {
    "what's on my todo list?": ListTodos(),
    "What’s on my to-do list?": ListTodos(),
    "What is on my todo list?": ListTodos(),
    "  what  is still on my list ???": ListTodos(),
    "show my todos": ListTodos(),
    "Show me my todo list, please.": ListTodos(),
    "todo list": ListTodos(),
    "my tasks": ListTodos(),
    "what do I have to do today?": ListTodos(),
    "how many todos do I have?": ListTodos(),
    "is there anything on my list?": ListTodos(),
    "what do you know about my dog?": RecallFacts("my dog"),
    "What do you know about 'my dog'?": RecallFacts("my dog"),
    "what did I tell you about my dog": RecallFacts("my dog"),
    "do you remember my dog?": RecallFacts("my dog"),
    "tell me what you know about my dog": RecallFacts("my dog"),
    "tell me everything you remember about my dog": RecallFacts("my dog"),
    "remind me what I told you about my dog": RecallFacts("my dog"),
    "Can you remember my birthday?": RecallFacts("my birthday"),
    "what do you know about me?": RecallFacts(),
    "what do you know?": RecallFacts(),
    "what do you remember so far?": RecallFacts(),
    "show me your notes": RecallFacts(),
    "who are you?": Introduce(),
    "What are you?": Introduce(),
    "what's your name": Introduce(),
    "Are you a language model?": Introduce(),
    "which model are you?": Introduce(),
    "what do you know about yourself?": Introduce(),
    "how do I connect Letta?": Introduce(),
}

CHANGING: dict[str, Intent] = {
    "done with buy milk": FinishTodo("buy milk"),
    "I'm done with buy milk!": FinishTodo("buy milk"),
    "i’m done with buy milk": FinishTodo("buy milk"),
    "I finished the report": FinishTodo("the report"),
    "I've just finished the report.": FinishTodo("the report"),
    "I completed the report": FinishTodo("the report"),
    "mark the report as done": FinishTodo("the report"),
    "Please mark the report complete": FinishTodo("the report"),
    "check off the report": FinishTodo("the report"),
    "cross the report off my list": FinishTodo("the report"),
    "the report is done": FinishTodo("the report"),
    "done: the report": FinishTodo("the report"),
    "done with 2": FinishTodo("2"),
    "done with #2": FinishTodo("2"),
    "mark number 2 as done": FinishTodo("2"),
    "I finished todo number 2": FinishTodo("2"),
    "remove the report from my todo list": RemoveTodo("the report"),
    "take milk off my list": RemoveTodo("milk"),
    "delete todo 2": RemoveTodo("2"),
    "remove milk": RemoveTodo("milk"),
    "clear my todo list": ClearTodos(),
    "delete everything from my list": ClearTodos(),
    "I'm done with everything": ClearTodos(),
    "remember that my dog is called Rex": RememberFact("my dog is called Rex"),
    "Please remember that my dog’s name is Rex.": RememberFact("my dog’s name is Rex"),
    "Can you remember that my dog is called Rex?": RememberFact("my dog is called Rex"),
    "remember: my mail is rex@example.com": RememberFact("my mail is rex@example.com"),
    "note that the door is green": RememberFact("the door is green"),
    "don't forget that I am away in May": RememberFact("I am away in May"),
    "forget that my dog is called Rex": ForgetFact("my dog is called Rex"),
    "forget about my dog": ForgetFact("my dog"),
    "forget my dog!": ForgetFact("my dog"),
    "forget fact 2": ForgetFact("2"),
    "delete the fact that I like tea": ForgetFact("I like tea"),
    "forget everything about my dog": ForgetFact("my dog"),
    "forget everything": ForgetEverything(),
    "forget everything you know about me": ForgetEverything(),
}

NOT_FOR_A_NOTEBOOK = [
    "",
    " \n\t",
    "?",
    "hello",
    "help",
    "what can you do?",
    "Tell me a joke, please.",
    "please",
    "add",
    "add ''",
    "remember",
    "forget",
    "done",
    "what is done?",
    "create a todo list",
    "### Task:\nGenerate a title for this chat:\nUSER: add milk to my todo list",
    "日本語のメッセージ",
]


@pytest.mark.parametrize(("message", "texts"), ADDING.items())
def test_todos_are_added(message: str, texts: tuple[str, ...]) -> None:
    assert parse(message) == AddTodos(texts)


@pytest.mark.parametrize(("message", "intent"), (ASKING | CHANGING).items())
def test_close_variants_mean_the_same(message: str, intent: Intent) -> None:
    assert parse(message) == intent


@pytest.mark.parametrize("message", NOT_FOR_A_NOTEBOOK)
def test_anything_else_asks_for_help(message: str) -> None:
    assert parse(message) == Help()


def test_a_note_has_a_longest_length() -> None:
    assert parse("remember " + LONGEST_NOTE * "x") == RememberFact(LONGEST_NOTE * "x")
    assert parse("remember x" + LONGEST_NOTE * "x") == TooLong()


def test_half_of_an_emoji_becomes_a_question_mark() -> None:
    assert parse("remember that I like \ud83d hats") == RememberFact("I like ? hats")


WORDS = (
    "add remember that forget done with what's on my to do list mark as remove everything please , . ? ' “ 2 \n - is"
)


@given(
    st.one_of(st.text(), st.text(st.characters(codec=None)), st.lists(st.sampled_from(WORDS.split(" "))).map(" ".join))
)
@settings(deadline=None)
def test_no_text_raises(text: str) -> None:
    match parse(text):
        case AddTodos(texts):
            assert texts
            assert all(todo.strip() for todo in texts)
        case FinishTodo(words) | RemoveTodo(words) | RememberFact(words) | ForgetFact(words):
            assert words.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "please ",
        "add ",
        "to my list ",
        "to do ",
        "a",
        "just ",
        "i ",
        "as done ",
        "\n- a",
        "?",
        "a, ",
        " and ",
        "off ",
        "is done ",
        "hi, ",
        "my todo ",
        " ",
        "' ",
        "remember that ",
        "forget ",
        "what's on ",
    ],
)
@pytest.mark.parametrize("opening", ["", "add ", "mark ", "take ", "what ", "remember "])
def test_time_grows_only_with_length(opening: str, piece: str) -> None:
    def seconds(times: int) -> float:
        started = time.process_time()
        parse(f"{opening}{piece * times}x")
        return time.process_time() - started

    parse(opening)
    # Ten times the text may take ten times as long, not a hundred times; the rest is room for a noisy machine.
    assert seconds(30_000) < 40 * max(seconds(3_000), 0.001)
