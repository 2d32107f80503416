"""The agent's tools: an intent is done in the notebook, and becomes a reply. Blocks, as the notebook does."""

from collections.abc import Sequence

from adapters.embedded.intents import (
    AddTodos,
    ClearTodos,
    Decide,
    FinishTodo,
    ForgetEverything,
    ForgetFact,
    GoOn,
    Help,
    Intent,
    Introduce,
    ListTodos,
    RecallFacts,
    RememberFact,
    RemoveTodo,
    TooLong,
)
from adapters.embedded.notebook import Added, Notebook, Taken
from adapters.embedded.phrases import LONGEST_NOTE
from adapters.embedded.replies import Reply, ToolUse

INTRODUCTION = (
    "I am a small notebook agent built into this service, not a language model. I keep a todo list and facts in a file,"
    " and I understand a few phrasings of English. To talk to real Letta agents instead, set LETTA_BASE_URL (your own"
    " Letta server) or LETTA_API_KEY (Letta Cloud) and start the service again."
)
ABILITIES = (
    'I am a small notebook, not a language model; try "add milk to my todo list", "what\'s on my todo list?",'
    ' "done with milk", "remember that ...", "what do you know about ...?" or "forget ...".'
)


def carry_out_again(intent: Intent, notebook: Notebook, agent_id: str) -> Reply:
    """Answer once more what has been carried out before: what was taken out then is not taken out twice, for the same
    words may mean another note now."""
    match intent:
        case FinishTodo() | RemoveTodo() | ClearTodos():
            reply = carry_out(ListTodos(), notebook, agent_id)
            said = f"I do that once for each message, and have nothing to add. {reply.answer}"
        case ForgetFact() | ForgetEverything():
            reply = carry_out(RecallFacts(), notebook, agent_id)
            said = f"I do that once for each message, and have nothing to add. {reply.answer}"
        case _:
            return carry_out(intent, notebook, agent_id)
    return Reply(reply.thought, said, reply.tool)


def carry_out(intent: Intent, notebook: Notebook, agent_id: str) -> Reply:
    """Do what is asked, in one transaction, and say what came of it."""
    match intent:
        case AddTodos(texts):
            added = notebook.add_todos(agent_id, texts)
            return _todo_reply("add_todos", {"todos": list(texts)}, _said_added(added))
        case ListTodos():
            return _todo_reply("list_todos", {}, _said_list(notebook.todos(agent_id)))
        case FinishTodo(which):
            taken = notebook.take_todo(agent_id, which)
            return _todo_reply("finish_todo", {"todo": which}, _said_taken(taken, "Done with", "todo"), taken)
        case RemoveTodo(which):
            taken = notebook.take_todo(agent_id, which)
            return _todo_reply("remove_todo", {"todo": which}, _said_taken(taken, "Removed", "todo"), taken)
        case ClearTodos():
            cleared = notebook.clear_todos(agent_id)
            return _todo_reply("clear_todos", {}, f"Your todo list is empty now; {_count(cleared, 'todo')} removed.")
        case RememberFact(text):
            added = notebook.add_fact(agent_id, text)
            said = f"I will remember: {text}" if added.new else f"I know that already: {text}"
            return _fact_reply("remember", {"fact": text}, said)
        case RecallFacts(topic):
            facts = notebook.facts(agent_id, topic)
            return _fact_reply("recall", {} if topic is None else {"topic": topic}, _said_facts(facts, topic))
        case ForgetFact(which):
            taken = notebook.take_fact(agent_id, which)
            return _fact_reply("forget", {"fact": which}, _said_taken(taken, "Forgotten:", "fact"), taken)
        case ForgetEverything():
            cleared = notebook.clear_facts(agent_id)
            return _fact_reply("forget_everything", {}, f"I forgot everything; {_count(cleared, 'fact')} removed.")
        case Introduce():
            return Reply("The user wants to know who I am, and I say it as it is.", INTRODUCTION)
        case Decide():
            return Reply("None of my tools waits for approval.", "There is nothing to approve or deny: I never ask.")
        case GoOn():
            return Reply("My answers are never cut.", "That was all I had to say: my last answer was whole.")
        case TooLong():
            return Reply(
                "This is too long for my notebook.",
                f"That is too long for me: a message may add {LONGEST_NOTE} characters at most. Nothing was noted.",
            )
        case Help():
            return Reply("This is none of the phrasings that I know, so I say what I can do.", ABILITIES)


def _todo_reply(tool: str, arguments: dict[str, object], said: str, taken: Taken | None = None) -> Reply:
    return Reply("This is about the todo list, so I open my notebook.", said, _use(tool, arguments, said, taken))


def _fact_reply(tool: str, arguments: dict[str, object], said: str, taken: Taken | None = None) -> Reply:
    return Reply("This is about what I know, so I open my notebook.", said, _use(tool, arguments, said, taken))


def _use(tool: str, arguments: dict[str, object], said: str, taken: Taken | None) -> ToolUse:
    return ToolUse(tool, arguments, said, ok=taken is None or taken.text is not None)


def _said_added(added: Added) -> str:
    said = []
    if added.new:
        said.append(f"Added to your todo list: {_enumerated(added.new)}.")
    if added.known:
        said.append(f"Already on your todo list: {_enumerated(added.known)}.")
    return " ".join(said)


def _said_list(todos: Sequence[str]) -> str:
    return f"Your todo list:\n{_numbered(todos)}" if todos else "Your todo list is empty."


def _said_taken(taken: Taken, done: str, kind: str) -> str:
    if taken.text is not None:
        return f"{done} “{taken.text}”."
    if taken.candidates:
        return f"More than one {kind} fits. Which one do you mean?\n{_bulleted(taken.candidates)}"
    return f"I have no such {kind}, so nothing was changed."


def _said_facts(facts: Sequence[str], topic: str | None) -> str:
    if facts:
        return f"You told me:\n{_bulleted(facts)}"
    return "I know nothing yet." if topic is None else "I know nothing about that."


def _enumerated(texts: Sequence[str]) -> str:
    return ", ".join(f"“{text}”" for text in texts)


def _numbered(texts: Sequence[str]) -> str:
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def _bulleted(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
