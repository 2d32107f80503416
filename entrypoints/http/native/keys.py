"""/api/v1/keys: named API keys are made, listed and revoked, by whoever has an admin key."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from domain.model.api_key import NamedKey, key_lifetime, key_name
from domain.services.key_administration import KeyAdministration, KeyWish, NameTakenError, NotAnAdminError
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.body.json_body import ObjectReader
from entrypoints.http.chat_intake import ChatIntake
from entrypoints.http.native.api_docs import KeyOperation
from entrypoints.http.native.wire import when
from ports.key_store import KeyStoreError

# Of the agents that one key is for, and characters of a name.
_MOST_AGENTS = 200
_LONGEST = 500


class _Body(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    agents: list[str] | None = None
    expires: str | None = None
    chat_headers: bool = True
    share_chats: bool = False
    usage: bool = False
    admin: bool = False


class KeyOnWire(msgspec.Struct, frozen=True, rename="camel"):
    """A named key. Its secret is told once, when it is made."""

    name: str
    created_at: str
    expires_at: str | None
    agents: tuple[str, ...]
    chat_headers: bool
    share_chats: bool
    usage: bool
    admin: bool


class MadeKey(KeyOnWire, frozen=True, rename="camel", kw_only=True):
    """A new one."""

    key: str
    """The secret, which is told this once."""
    success: bool = True


class KeyList(msgspec.Struct, frozen=True):
    """The oldest first."""

    keys: list[KeyOnWire]


class RevokedKey(msgspec.Struct, frozen=True):
    """A key that holds no more."""

    name: str
    success: bool = True


_bodies = ObjectReader(_Body)


def key_handlers(administration: KeyAdministration, intake: ChatIntake) -> list[HTTPRouteHandler]:
    @get("/keys", summary="The API keys that have names", tags=["Administration"])
    async def list_keys(request: Request[Any, Any, Any]) -> KeyList:
        """For admins only: the key without a name, and keys made as admins."""
        try:
            return KeyList([_on_wire(key) for key in await administration.all(caller_of(request.scope))])
        except (NotAnAdminError, KeyStoreError) as error:
            raise refusal(error) from error

    @post("/keys", operation_class=KeyOperation, status_code=201)
    async def create_key(request: Request[Any, Any, Any]) -> Response[MadeKey]:
        """For admins only. No key makes one that may do more, or holds longer, than itself."""
        _, wish, _ = await intake.read(request, _read)
        try:
            made, secret = await administration.make(caller_of(request.scope), wish)
        except (NotAnAdminError, NameTakenError, KeyStoreError) as error:
            raise refusal(error) from error
        body = MadeKey(**msgspec.structs.asdict(_on_wire(made)), key=secret)
        return Response(body, status_code=201, headers={"cache-control": "no-store"})

    @delete("/keys/{name:str}", status_code=200, summary="Revoke a key", tags=["Administration"])
    async def revoke_key(request: Request[Any, Any, Any], name: FromPath[str]) -> RevokedKey:
        """For admins only. What goes on for the key ends within seconds: answers with an error, jobs cancelled."""
        try:
            found = await administration.revoke(caller_of(request.scope), name)
        except (NotAnAdminError, KeyStoreError) as error:
            raise refusal(error) from error
        if not found:
            raise ApiError(404, "There is no key of that name.", param="name")
        return RevokedKey(name)

    return [list_keys, create_key, revoke_key]


def refusal(error: Exception) -> ApiError:
    """As clients know it."""
    if isinstance(error, NameTakenError):
        return ApiError(409, "There is a key of that name already; revoke it first.", param="name", code="name_taken")
    if isinstance(error, KeyStoreError):
        refused = ApiError(503, str(error), type_="api_error", code="state_unavailable")
        refused.headers["x-should-retry"] = "true"
        return refused
    return ApiError(
        403,
        "This API key may not do that. Use the key without a name, or one made with 'lettabot key create NAME --admin' "
        "that is not limited itself.",
        code="admin_required",
    )


def _read(body: bytes) -> KeyWish:
    asked = _bodies.read(body)
    agents = tuple(asked.agents or ())
    if len(agents) > _MOST_AGENTS or any(not each.strip() or len(each) > _LONGEST for each in agents):
        raise ApiError(400, f"agents: expected names or ids of agents, {_MOST_AGENTS} at most.", param="agents")
    if asked.agents is not None and not agents:
        raise ApiError(400, "agents: there is no agent in it; leave it out for all.", param="agents")
    if asked.share_chats and not asked.chat_headers:
        raise ApiError(400, "shareChats: such a key has to name chats (chatHeaders).", param="shareChats")
    param = "name"
    try:
        name = key_name(asked.name)
        param = "expires"
        lifetime = None if asked.expires is None else key_lifetime(asked.expires)
    except ValueError as error:
        raise ApiError(400, f"{param}: expected {error}.", param=param) from None
    return KeyWish(name, agents, lifetime, asked.chat_headers, asked.usage, asked.share_chats, asked.admin)


def _on_wire(key: NamedKey) -> KeyOnWire:
    return KeyOnWire(
        key.name,
        when(key.made_at) or "",
        when(key.expires_at),
        key.agents,
        key.chat_headers,
        key.share_chats,
        key.usage,
        key.admin,
    )
