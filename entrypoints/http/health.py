"""Is the service alive, and is it of use? Open to everybody, so nothing here tells a secret."""

import msgspec
from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from domain.services.readiness import Readiness
from entrypoints.settings import Mode

HINTS = {
    Mode.EMBEDDED: "The built-in notebook agent answers; set LETTA_BASE_URL or LETTA_API_KEY to connect Letta.",
}


class ReadyReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the service can answer requests."""

    ready: bool
    mode: str
    agents: int
    """How many are on offer."""
    code: str | None = None
    """That of the failure."""
    message: str | None = None
    """What is wrong."""
    hint: str | None = None
    """What to know although nothing is wrong."""


@get(["/", "/health"], summary="Alive?", tags=["Health"], media_type=MediaType.TEXT, sync_to_thread=False)
def alive() -> str:
    """The process is up and answers."""
    return "ok"


@get("/health/ready", summary="Of use?", tags=["Health"])
async def ready(readiness: NamedDependency[Readiness], mode: NamedDependency[Mode]) -> Response[ReadyReport]:
    """The backend is reachable and takes our credential: 200, or 503 while it is not."""
    failure = await readiness.failure()
    report = ReadyReport(
        ready=failure is None,
        mode=mode,
        agents=readiness.agents(),
        code=failure.code if failure else None,
        message=failure.sentence if failure else None,
        hint=HINTS.get(mode),
    )
    return Response(report, status_code=503 if failure else 200)
