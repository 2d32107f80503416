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
    end = "\n<type>General</type>\n<text>x</text>\n#### Output:\n" if task is Task.AUTOCOMPLETE else ""
    return (
        f"### Task:\nSay something about this chat.\n### Output:\n"
        f'JSON: {{ "{KEYS[task]}": "here" }}\n### Chat History:\n<chat_history>\n{chat}\n</chat_history>{end}'
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


# utils/middleware.py, utils/memory.py and config.py of Open WebUI 0.6 to 0.12.
TOOLS = (
    'Available Tools: [{"name": "x"}]\n\nYour task is to choose and return the correct tool(s) from the list of'
    " available tools based on the query. Follow these guidelines:\n\n- Return only the JSON object."
)
MEMORY_REVIEWER = "You are Open WebUI's private memory reviewer. Return only valid JSON."
MEMORY_REVIEW = (
    "Review the completed conversation turn and decide whether long-term memory should change.\n\nMemory types:\n- user"
)
EMOJI = (
    "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Interpret emotions from"
    " the message and reflect their facial expression using fitting, diverse emojis (e.g., 😊, 😢, 😡, 😱).\n\n"
    "Message: ```I am sad```"
)


def with_system(system: str, prompt: str) -> Task | None:
    return task_of("", False, False, ("system", "user"), system, prompt)


def test_other_templates() -> None:
    assert recognised(EMOJI) is Task.EMOJI
    assert recognised(EMOJI.replace("```", '"""')) is Task.EMOJI
    assert with_system(TOOLS, "Query: x") is Task.FUNCTION_CALLING
    assert with_system(MEMORY_REVIEWER, MEMORY_REVIEW) is Task.MEMORY_REVIEW


@pytest.mark.parametrize(
    ("system", "prompt"),
    [
        ("Available Tools: search, calculator. Answer in German.", "What is the weather?"),
        ("Available Tools: []", "Query: x"),
        (TOOLS, "What is the weather?"),
        ("Be nice. " + TOOLS, "Query: x"),
        (MEMORY_REVIEWER, "Hello"),
        (MEMORY_REVIEWER + " Be nice.", MEMORY_REVIEW),
        ("Be nice.", MEMORY_REVIEW),
        ("Be nice.", EMOJI),
        ("Be nice.", prompt_for(Task.TITLE, "Hello", "")),
    ],
)
def test_a_question_beside_a_system_message_of_ones_own_is_no_task(system: str, prompt: str) -> None:
    assert with_system(system, prompt) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "hello",
        "### Task:\nRespond to the question with this.\n<context>\nA file.\n</context>\n\nWhat is in it?",
        '### Task:\nMake me a JSON such as { "title": "x" }.',
        "### Task:\nSum this up: <chat_history>\nUSER: x\n</chat_history>",
        'Please look: ### Task:\n{ "title": "x" } <chat_history></chat_history>',
        '### Task:\nWhat is wrong?\n### Output\n{ "title": 1 }\n<chat_history>\nx\n</chat_history>\nExplain, please.',
        '### Task:\nWhat does { "title": 1 } mean beside <chat_history></chat_history>?\n### Output: one word',
        "Your task is to reflect the speaker's mood in three sentences: I am sad.",
        EMOJI + " And why that one?",
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
