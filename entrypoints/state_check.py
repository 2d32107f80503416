"""Whether the state that the settings name is one that this service can use at all."""

from entrypoints.settings import Settings


def state_refusal(settings: Settings) -> str | None:
    """Why it is not. One that is away for now is no reason: it may come back."""
    if settings.state is None or not settings.shares_state:
        return None
    from adapters.sql.pooling import pooler_refusal

    return pooler_refusal(settings.state)
