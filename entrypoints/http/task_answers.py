"""Whether a request is a frontend's own question about a chat, and what it is answered without the agent."""

from entrypoints.http.chat_headers import ChatHeaders
from entrypoints.http.frontend_tasks import answer_to_task
from entrypoints.http.open_webui_tasks import local_answer, task_of


def task_answer(
    headers: ChatHeaders,
    prompt: str,
    stream: bool,
    declares_tools: bool,
    roles: tuple[str, ...],
    opening: str,
    instruction_at_end: str = "",
) -> str | None:
    """None if it is a message for the agent. `roles`, `opening` and `instruction_at_end`: see `ChatRequest`."""
    task = task_of(headers.task or "", stream, declares_tools, roles, opening, prompt)
    if task is not None:
        return local_answer(task, prompt)
    if headers.is_open_webui or headers.message_id or headers.user_message_id or declares_tools:
        # A client that names messages says which requests are none.
        return None
    return answer_to_task(stream, roles, opening, prompt, instruction_at_end)
