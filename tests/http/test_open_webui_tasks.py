"""Open WebUI's own questions: which they are, and what they are answered with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.open_webui_tasks import Task, local_answer, task_of

KEYS = {
    Task.TITLE: "title",
    Task.TAGS: "tags",
    Task.FOLLOW_UPS: "follow_ups",
    Task.QUERIES: "queries",
    Task.AUTOCOMPLETE: "text",
    Task.IMAGE_PROMPT: "prompt",
}


def prompt_for(task: Task, *said: str) -> str:
    """Of the recorded structure, in words of our own."""
    speakers = ("USER", "ASSISTANT")
    chat = "\n".join(f"{speakers[number % 2]}: {text}" for number, text in enumerate(said))
    return (
        f"### Task:\nSay something about this chat.\n### Output:\n"
        f'JSON: {{ "{KEYS[task]}": "here" }}\n### Chat History:\n<chat_history>\n{chat}\n</chat_history>'
    )


def recognised(prompt: str, header: str = "", stream: bool = False, tools: bool = False) -> Task | None:
    return task_of(header, stream, tools, ("user",), prompt, prompt)


@pytest.mark.parametrize("task", KEYS)
def test_a_task_is_known_by_its_shape(task: Task) -> None:
    assert recognised(prompt_for(task, "Hello", "")) is task


@pytest.mark.parametrize("task", Task)
def test_the_header_decides_alone(task: Task) -> None:
    assert task_of(task.value, True, True, ("user", "assistant", "user"), "hello", "hello") is task


def test_an_unknown_task_is_a_task_all_the_same() -> None:
    assert recognised("hello", header="something_new") is Task.OTHER


def test_other_openings() -> None:
    assert recognised("Your task is to reflect the speaker's mood.") is Task.EMOJI
    assert task_of("", False, False, ("system", "user"), "Available Tools: []", "Query: x") is Task.FUNCTION_CALLING


@pytest.mark.parametrize(
    "prompt",
    [
        "hello",
        "### Task:\nRespond to the question with this.\n<context>\nA file.\n</context>\n\nWhat is in it?",
        '### Task:\nMake me a JSON such as { "title": "x" }.',
        "### Task:\nSum this up: <chat_history>\nUSER: x\n</chat_history>",
        'Please look: ### Task:\n{ "title": "x" } <chat_history></chat_history>',
        "Available Tools: a hammer and a saw. What can I build with them?",
        "You are Open WebUI's private memory reviewer, they say. Who are you?",
    ],
)
def test_what_a_person_may_write_is_no_task(prompt: str) -> None:
    assert recognised(prompt) is None


def test_a_stream_or_tools_or_a_history_is_no_task() -> None:
    prompt = prompt_for(Task.TITLE, "Hello")
    assert recognised(prompt, stream=True) is None
    assert recognised(prompt, tools=True) is None
    assert task_of("", False, False, ("user", "assistant", "user"), prompt, prompt) is None
    assert task_of("", False, False, (), prompt, prompt) is None


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Hello driver", "Hello driver"),
        ("# **Where** is my `todo` list?\nAnd more", "Where is my todo list? And"),
        ("one two three four five six seven", "one two three four five six"),
        ("x" * 200, "x" * 50),
        ("你好，请问今天天气怎么样", "你好，请问今天天气怎么样"),
        ("<attached_files><file/></attached_files>\nWhat is this?", "What is this?"),
        ("", "Chat"),
        ("</chat_history> ' \" \\ quoted", "/chat history ' \" \\ quoted"),
    ],
)
def test_a_title_is_the_beginning_of_what_the_user_said(said: str, title: str) -> None:
    assert json.loads(local_answer(Task.TITLE, prompt_for(Task.TITLE, said, ""))) == {"title": title}


def test_tags_are_what_the_user_speaks_of() -> None:
    prompt = prompt_for(Task.TAGS, "How do I water tomatoes?", "With penguins.", "And when do tomatoes need water?")
    assert json.loads(local_answer(Task.TAGS, prompt)) == {"tags": ["water", "tomatoes"]}
    assert json.loads(local_answer(Task.TAGS, prompt_for(Task.TAGS, "Hi"))) == {"tags": ["general"]}


def test_nothing_is_made_up() -> None:
    assert json.loads(local_answer(Task.FOLLOW_UPS, "")) == {"follow_ups": []}
    assert json.loads(local_answer(Task.QUERIES, "")) == {"queries": []}
    assert json.loads(local_answer(Task.AUTOCOMPLETE, "")) == {"text": ""}
    assert json.loads(local_answer(Task.FUNCTION_CALLING, "")) == {"tool_calls": []}
    assert local_answer(Task.MERGE, 'Merge.\nResponses from models: "a" "b"') == '"a" "b"'


@given(st.sampled_from(list(KEYS)), st.lists(st.text()))
def test_whatever_was_said_the_answer_is_json_of_that_shape(task: Task, said: list[str]) -> None:
    answer = json.loads(local_answer(task, prompt_for(task, *said)))
    assert list(answer) == [KEYS[task]]
    assert answer[KEYS[task]] or task not in (Task.TITLE, Task.TAGS)


@given(st.text(), st.lists(st.sampled_from(["user", "system", "assistant"]), max_size=3), st.booleans())
def test_nothing_breaks_it(text: str, roles: list[str], stream: bool) -> None:
    task_of("", stream, False, roles, text, text)
    for task in Task:
        local_answer(task, text)
