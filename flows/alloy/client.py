"""The calls that an onboarding makes, one method each, with plain values going in and read answers coming out.

Every method returns what Alloy answered or raises one of the four failures of :mod:`states.failures`. What is certain
not to have happened is tried again here for a few seconds; everything longer is the caller's. A call that may have been
carried out is never repeated: it raises ``Transient`` with ``Effect.unknown``, and the caller looks before it calls
again.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Self
from unicodedata import normalize

from pydantic import JsonValue, SecretStr

from flows.alloy.answers import (
    AnswerT,
    CreatedCredential,
    CreatedUser,
    Credential,
    CredentialMetadata,
    Installation,
    Integration,
    OauthLink,
    StartedInstallation,
    User,
    read,
    read_list,
)
from flows.alloy.body import Keep, UnreadableAnswer
from flows.alloy.dialects import DIALECTS, Capabilities, Dialect, Route
from flows.alloy.errors import Call, masking, unreadable
from flows.alloy.installations import Wanted, keeping, read_wanted
from flows.alloy.permit import Permit
from flows.alloy.together import Together
from flows.alloy.transport import Channel, Transport
from flows.alloy.users import keeping as keeping_users
from flows.alloy.users import keeping_one, read_not_created, read_one, read_users
from flows.pacing import Pacing
from states.failures import Halted, Rejected
from states.holds import Reason

__all__ = ["AlloyClient", "masking"]

Secrets = Mapping[str, SecretStr | str]
"""Auth properties by name, as the credential metadata names them."""

_NO_SUCH_ROUTE = (404, 405)
_NO_SUCH_THING = (400, 404)
_MISSES_THAT_COUNT = 3
"""How often a route must deny what the list shows before it is believed to be missing."""
_NO_SUCH_ROUTE_OR_THING = (400, 404, 405)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AlloyClient:
    """One connection to one account, shared by everything that a flow run has in flight.

    Wrap calls in ``with masking(values):`` to keep further auth values of a record out of its error texts; the values
    that a call itself sends are always masked.
    """

    def __init__(self, channel: Channel, dialect: Dialect, capabilities: Capabilities) -> None:
        self._channel = channel
        self._routes = dialect.routes
        self.capabilities = capabilities
        self._misses = 0
        self._installations = Together(self._list_installations)
        self._users = Together(self._list_users)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        base_url: str,
        api_key: SecretStr,
        dialect: str = "seed",
        concurrency: int = 20,
        pacing: Pacing | None = None,
        capabilities: Capabilities | None = None,
        deadline: float = 40.0,
        send_within: timedelta = timedelta(seconds=10),
        now: Callable[[], datetime] = _utc_now,
        transport: Transport | None = None,
    ) -> AsyncIterator[Self]:
        """Open a client and close it with the block. Nothing is sent before the first call."""
        if dialect not in DIALECTS:
            known = ", ".join(DIALECTS)
            raise Halted(Reason.wrong_host, f"ALLOY_API_VERSION {dialect!r} is not one of {known}")
        spoken = DIALECTS[dialect]
        address = spoken.base_url(base_url)
        learnt = capabilities if capabilities is not None else Capabilities()
        learnt.belong_to(address)
        async with Channel.open(
            base_url=address,
            api_key=api_key,
            headers=spoken.headers,
            concurrency=concurrency,
            pacing=pacing if pacing is not None else Pacing(),
            deadline=deadline,
            send_within=send_within,
            now=now,
            transport=transport,
        ) as channel:
            yield cls(channel, spoken, learnt)

    @property
    def calls(self) -> int:
        """How many calls were sent, answered or not."""
        return self._channel.calls

    @property
    def pacing(self) -> Pacing:
        """How fast this client may call; ``pacing.paused_for()`` tells when Alloy has asked everybody to wait."""
        return self._channel.pacing

    def stop(self) -> None:
        """Begin nothing new: calls that follow an intent are still made, others raise ``flows.pacing.NotWanted``."""
        self._channel.departures.stop()

    def permit(self) -> AbstractAsyncContextManager[Permit]:
        """Wait for the turn of a call that changes something, before its intent is written; make it inside the block.

        Raises ``Transient``, with nothing done, if Alloy wants nobody to call for longer than is worth waiting here.
        """
        return self._channel.departures.permit()

    async def create_user(self, username: str, full_name: str | None = None) -> str:
        """Create a user and return its id. A taken username is ``Rejected`` with status 400, 409 or 422."""
        call = _call(self._routes.create_user, body=_user(username, full_name))
        return (await self._read(CreatedUser, call)).user_id

    async def create_users(self, users: Sequence[tuple[str, str | None]]) -> frozenset[str]:
        """Create up to 1000 users, each a username and a full name; return the usernames that were not created.

        No ids are answered, and "not created" may mean taken or invalid: look the users up afterwards. If nothing is
        left to create (all are taken), this is ``Rejected`` with status 400. An answer that refuses somebody who was
        not asked for says nothing of those who were.
        """
        call = _call(self._routes.create_users, body={"users": [_user(*user) for user in users]})
        answer = await self._channel.send(call)
        try:
            return read_not_created(answer, frozenset(username for username, _ in users))
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None

    async def get_user(self, user: str) -> User | None:
        """Look a user up by id or username; None if there is none."""
        try:
            return await self._read(User, _call(self._routes.get_user, user=user), lambda found: _is_user(found, user))
        except Rejected as refusal:
            if refusal.status in _NO_SUCH_THING:
                return None
            raise

    async def some_user(self) -> User | None:
        """Return one of the account's users, whichever; None if it has none."""
        call = _call(self._routes.list_users, keep=keeping_one())
        answer = await self._channel.send(call)
        try:
            found, self.capabilities.users = read_one(answer)
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None
        return found

    async def find_users(self, usernames: Collection[str]) -> Mapping[str, User]:
        """Find users in the account's list; those who are not in it may be there all the same.

        What the list showed after this was asked; it is the whole account's, so all who ask at once share it.
        """
        return await self._users.ask(*usernames)

    async def _list_users(self, wanted: frozenset[str]) -> Mapping[str, User]:
        call = _call(self._routes.list_users, keep=keeping_users(wanted))
        answer = await self._channel.send(call)
        try:
            found, self.capabilities.users = read_users(answer, wanted)
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None
        return found

    async def list_integrations(self, user: str) -> list[Integration]:
        """List every integration of the account, annotated for ``user`` (id or username)."""
        return await self._read_list(Integration, _call(self._routes.list_integrations, query=[("userId", user)]))

    async def get_integration(self, integration_id: str, user: str) -> Integration | None:
        """Look one integration up, annotated for ``user``; None if there is none. Searches the list if it must."""
        if self.capabilities.get_integration is not False:
            call = _call(self._routes.get_integration, query=[("userId", user)], integration=integration_id)
            try:
                found = await self._read(Integration, call, lambda found: found.integration_id == integration_id)
            except Rejected as refusal:
                if refusal.status not in _NO_SUCH_ROUTE_OR_THING:
                    raise
                if self.capabilities.get_integration and refusal.status != 405:
                    return None
            else:
                self.capabilities.get_integration = True
                self._misses = 0
                return found
        every = await self.list_integrations(user)
        listed = next((one for one in every if one.integration_id == integration_id), None)
        if listed is not None:
            # The list knows it and the route does not: the route is missing, or it lags. A lag passes.
            self._misses += 1
            if self._misses >= _MISSES_THAT_COUNT:
                self.capabilities.get_integration = False
        return listed

    async def credential_metadata(self, app: str) -> CredentialMetadata | None:
        """Ask how ``app`` is connected; None if Alloy does not know the app by this name."""
        try:
            return await self._read(CredentialMetadata, _call(self._routes.credential_metadata, app=app))
        except Rejected as refusal:
            if refusal.status in _NO_SUCH_THING:
                return None
            raise

    async def oauth_url(self, user_id: str, app: str, properties: Secrets) -> SecretStr:
        """Ask for the link under which the customer consents. Changes nothing at Alloy."""
        plain = _reveal(properties)
        query = [("userId", user_id), ("app", app)]
        query += [(name, value) for name, value in plain.items() if name not in ("userId", "app")]
        call = _call(self._routes.oauth_url, query=query, secrets=tuple(plain.values()))
        return (await self._read(OauthLink, call)).url

    async def create_credential(self, user_id: str, app: str, properties: Secrets) -> str:
        """Create a credential of an app that needs no consent, and return its id."""
        plain = _reveal(properties)
        body: JsonValue = {"userId": user_id, "credential": {"type": app, "data": dict(plain)}}
        call = _call(self._routes.create_credential, body=body, secrets=tuple(plain.values()))
        return (await self._read(CreatedCredential, call)).credential_id

    async def list_credentials(self, user_id: str) -> list[Credential]:
        """List a user's credentials, in no particular order. An unknown user is ``Rejected``."""
        learnt = self.capabilities.credential_list
        spellings = [route for route in self._routes.list_credentials if learnt in (None, route.template)]
        while True:
            route = spellings.pop(0)
            try:
                listed = await self._read_list(Credential, _call(route, user=user_id))
            except Rejected as refusal:
                if refusal.status not in _NO_SUCH_ROUTE or not spellings:
                    raise
            else:
                self.capabilities.credential_list = route.template
                return listed

    async def start_installation(
        self, user_id: str, integration_id: str, credential_ids: Sequence[str]
    ) -> StartedInstallation:
        """Start an installation with exactly these credentials. Alloy makes a new one at every call."""
        body: JsonValue = {
            "userId": user_id,
            "credentialIds": list(credential_ids),
            "integrationId": integration_id,
        }
        return await self._read(StartedInstallation, _call(self._routes.start_installation, body=body))

    async def complete_installation(self, installation_id: str, data: Sequence[Mapping[str, JsonValue]]) -> None:
        """Hand the answers in; ``data`` is empty if nothing was asked. The answer carries no proof: read back."""
        body: JsonValue = {"installationId": installation_id, "data": [dict(block) for block in data]}
        await self._channel.send(_call(self._routes.complete_installation, body=body))

    async def find_installations(self, user_id: str, integration_id: str) -> list[Installation] | None:
        """List a user's installations of one integration; None if this host has no list to find them in.

        What the list showed after this was asked; it is the whole account's, so all who ask at once share it.
        """
        listed = await self._installations.ask((user_id, integration_id))
        if listed is None:
            return None
        return [one for one in listed if (one.user_id, one.integration_id) == (user_id, integration_id)]

    async def _list_installations(self, wanted: Wanted) -> list[Installation] | None:
        if self.capabilities.installations is False:
            return None
        call = _call(self._routes.list_installations, keep=keeping(wanted))
        try:
            answer = await self._channel.send(call)
            listed = read_wanted(answer, wanted)
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None
        except Rejected as refusal:
            if refusal.status not in _NO_SUCH_ROUTE:
                raise
            self.capabilities.installations = False
            return None
        self.capabilities.installations = True
        return listed

    async def get_installation(self, installation_id: str) -> Installation | None:
        """Look one installation up; None if there is none, or if this host cannot tell.

        ``capabilities.installations`` says which of the two it was: False means that the host cannot tell.
        """
        if self.capabilities.installations is False:
            return None
        call = _call(self._routes.get_installation, installation=installation_id)
        try:
            found = await self._read(Installation, call, lambda found: found.installation_id == installation_id)
        except Rejected as refusal:
            if refusal.status not in _NO_SUCH_ROUTE_OR_THING:
                raise
            if self.capabilities.installations is None:
                # A 404 may mean the id or the route: only the list can tell, and it is asked once.
                await self._installations.ask()
            return None
        self.capabilities.installations = True
        return found

    async def _read(
        self, model: type[AnswerT], call: Call, is_asked_for: Callable[[AnswerT], bool] = lambda _found: True
    ) -> AnswerT:
        answer = await self._channel.send(call)
        try:
            found = read(model, answer)
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None
        if not is_asked_for(found):  # a cache in between, or a route that takes names for ids: never adopt a stranger
            raise unreadable(call, f"it is about another {model.__name__}")
        return found

    async def _read_list(self, model: type[AnswerT], call: Call) -> list[AnswerT]:
        answer = await self._channel.send(call)
        try:
            return read_list(model, answer)
        except UnreadableAnswer as fault:
            raise unreadable(call, str(fault)) from None


def _call(
    route: Route,
    *,
    query: Sequence[tuple[str, str]] = (),
    body: JsonValue = None,
    secrets: Sequence[str] = (),
    keep: Keep | None = None,
    **ids: str,
) -> Call:
    return Call(
        method=route.method,
        template=route.template,
        path=route.path(**ids),
        query=tuple(query),
        body=body,
        secrets=tuple(secrets),
        everywhere=route.everywhere,
        keep=keep,
    )


def _is_user(found: User, asked: str) -> bool:
    """Tell whether the user who was found is the one asked for by id or by name, however names are compared there."""
    return found.user_id == asked or found.username is None or _plainly(found.username) == _plainly(asked)


def _plainly(username: str) -> str:
    return "".join(normalize("NFKC", username).casefold().split())


def _user(username: str, full_name: str | None) -> dict[str, JsonValue]:
    return {"username": username} if full_name is None else {"username": username, "fullName": full_name}


def _reveal(properties: Secrets) -> dict[str, str]:
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in properties.items()
    }
