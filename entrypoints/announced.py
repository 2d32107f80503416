"""Which settings /api/v1/capabilities tells of: limits, and what is switched on. Never a secret or a place."""

from importlib.metadata import version

from entrypoints.http.native.capabilities import Announced
from entrypoints.settings import Settings
from entrypoints.settings.chat_options import Portal


def announced_of(settings: Settings) -> Announced:
    chat, turns, jobs = settings.chat_options, settings.turn_rules, settings.job_rules
    return Announced(
        version("lettabot"),
        limits={
            "maxBodyBytes": chat.max_body_bytes,
            "maxWaitingTurns": turns.max_waiting,
            "maxWaitingTurnsOverall": turns.max_waiting_overall,
            "turnTimeout": turns.turn_timeout,
            "busyTimeout": turns.busy_timeout,
            "jobTries": jobs.tries,
            "maxOpenJobs": jobs.max_open,
            "maxOpenJobBytes": jobs.max_open_bytes,
            "keepAnswersFor": settings.keep_answers_for,
            "keepResponsesFor": settings.keep_responses_for,
        },
        opt_ins={
            "portal": settings.portal.value,
            "toolCalls": chat.tool_calls.value,
            "reasoning": "reasoning_content" if chat.reasoning else "hidden",
            "usage": "report" if chat.usage else "null",
            "imageUrls": "any" if chat.image_links else "data",
            "conversations": "auto" if chat.own_conversations else "shared",
            "backgroundTasks": chat.background_tasks.value,
            "onDisconnect": turns.on_disconnect.value,
            "continueFrom": "last" if chat.continue_at_last else "response",
            "trustChatHeaders": chat.trust_chat_headers,
            "allowHttpCallbacks": settings.job_options.allow_http_callbacks,
            "allowPrivateCallbacks": settings.job_options.allow_private_callbacks,
        },
    )


def has_portal(settings: Settings) -> bool:
    """Whether there is a page for people."""
    return settings.portal is not Portal.OFF
