"""The client, answered with rubbish: it ends in an answer of the right type or in one of the four failures.

Nothing else ever comes out of it, whatever is answered: no other exception, no secret, and nothing that a database or
a terminal could not take. ``FUZZ_SEED=<seed> uv run pytest tests/fuzz/test_client.py`` replays one seed.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random

import httpx
import pytest
import stamina
from pydantic import BaseModel, SecretStr

from flows.alloy.answers import (
    Credential,
    CredentialMetadata,
    Installation,
    Integration,
    StartedInstallation,
    User,
)
from flows.alloy.client import AlloyClient
from flows.pacing import Pacing
from states.failures import Failure
from tests.fuzz.mutations import ANYTHING, Answer, mangled, response_of
from tests.fuzz.samples import AUTH, SHOP, Samples, collect, request_of
from tests.fuzz.seeds import seeds

SEEDS = range(370)
"""About nineteen answers for each: with three dialects more than 20,000."""
KEY = "canary-api-key-7f3b"
SECRETS = (KEY, *AUTH.values(), *SHOP.values())
_SHOWN_AT_MOST = 700

ANSWERED: dict[str, tuple[type, ...]] = {
    "create_user": (str,),
    "create_users": (frozenset,),
    "get_user": (User, type(None)),
    "some_user": (User, type(None)),
    "find_users": (dict,),
    "list_integrations": (list,),
    "get_integration": (Integration, type(None)),
    "credential_metadata": (CredentialMetadata, type(None)),
    "oauth_url": (SecretStr,),
    "create_credential": (str,),
    "list_credentials": (list,),
    "start_installation": (StartedInstallation,),
    "complete_installation": (type(None),),
    "find_installations": (list, type(None)),
    "get_installation": (Installation, type(None)),
}
ROWS: dict[str, type] = {
    "find_users": User,
    "list_integrations": Integration,
    "list_credentials": Credential,
    "find_installations": Installation,
}
ID_OF: dict[type, str] = {
    User: "user_id",
    Integration: "integration_id",
    Credential: "credential_id",
    StartedInstallation: "installation_id",
    Installation: "installation_id",
}


class Mangling(httpx.AsyncBaseTransport):
    """Answers every request with a mangled sample; now and then with an echo of what was sent, or with the truth."""

    def __init__(self, samples: Samples, random: Random) -> None:
        self._samples = samples
        self._random = random
        self.answers = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.answers += 1
        answer = self._samples.answers.get(request_of(request), Answer(404))
        if self._random.random() < 0.1:
            answer = _echo(request, self._random)
        if self._random.random() < 0.95:
            answer = mangled(answer, self._random, ANYTHING)
        return response_of(answer, request)


def _echo(request: httpx.Request, random: Random) -> Answer:
    """Quote everything that was sent, as vendors do: key, query and body."""
    said = f"bad request {request.url} {request.headers['authorization']} {request.content.decode()}"
    at = random.randrange(len(said))
    words = random.choice((said, said[at:], said[: at + 9], said.upper()))
    key = random.choice(("message", "error", "errors", "detail"))
    return Answer(random.choice((200, 400, 404, 409, 422, 500)), body=json.dumps({key: words}).encode())


class Leaping:
    """A clock that leaps ahead over every wait."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4):
        yield


async def session(samples: Samples, dialect: str, seed: int, came: Counter[str]) -> int:
    """Make every call once, in an order of its own, with a client that knows nothing yet; return the answers given."""
    random = Random(f"{dialect} {seed}")  # noqa: S311 - a repeatable test
    transport, clock = Mangling(samples, random), Leaping()
    methods = list(samples.asks)
    random.shuffle(methods)
    async with AlloyClient.open(
        base_url="http://alloy.test",
        api_key=SecretStr(KEY),
        dialect=dialect,
        pacing=Pacing(100_000, clock=clock, sleep=clock.sleep),
        now=lambda: datetime.fromtimestamp(clock.time, UTC),
        transport=transport,
    ) as client:
        for method in methods:
            clock.time += 90_000  # whatever we were asked to wait is over
            try:
                answer = await samples.asks[method](client)
            except Failure as failure:
                came[type(failure).__name__] += 1
                assert_fit_to_be_shown(failure)
            else:
                came["answered"] += 1
                assert_of_its_type(method, answer)
    return transport.answers


def assert_fit_to_be_shown(failure: Failure) -> None:
    told: BaseException | None = failure
    assert 0 < len(failure.sentence) <= _SHOWN_AT_MOST
    assert all(letter.isprintable() for letter in failure.sentence), ascii(failure.sentence)
    failure.sentence.encode()
    while told is not None:  # what a traceback would print
        said = f"{told!r} {told}".lower()
        assert not [secret for secret in SECRETS if secret.lower() in said], type(told)
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)


def assert_of_its_type(method: str, answer: object) -> None:
    assert isinstance(answer, ANSWERED[method]), (method, type(answer))
    if isinstance(answer, dict):
        answer = list(answer.values())
    if method in ROWS and isinstance(answer, list):
        assert all(isinstance(row, ROWS[method]) for row in answer)
    for one in answer if isinstance(answer, list | frozenset) else [answer]:
        plain = one.model_dump(mode="json") if isinstance(one, BaseModel) else one
        if isinstance(one, SecretStr):
            plain = one.get_secret_value()
            assert plain.startswith(("http://", "https://"))
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        text.encode()
        assert "\\u0000" not in text
        if type(one) in ID_OF:
            assert_fit_for_an_id(getattr(one, ID_OF[type(one)]))
    if isinstance(answer, str):
        assert_fit_for_an_id(answer)


def assert_fit_for_an_id(found: str) -> None:
    assert 0 < len(found) <= 255
    assert found.isprintable()


@pytest.mark.parametrize("dialect", ["seed", "2024-03", "2025-09"])
async def test_every_call_ends_in_a_typed_answer_or_in_a_failure(
    dialect: str, record_property: Callable[[str, object], None]
) -> None:
    samples = await collect(dialect)
    came: Counter[str] = Counter()
    answers = 0
    for seed in seeds(SEEDS):
        try:
            answers += await session(samples, dialect, seed, came)
        except Exception as error:
            error.add_note(f"replay with: FUZZ_SEED={seed} uv run pytest -n 0 tests/fuzz/test_client.py -k {dialect}")
            raise
    record_property("proof", f"{answers:,} answers to {came.total():,} calls, which ended in {dict(came)}")

    assert answers >= 19 * len(seeds(SEEDS)) or len(seeds(SEEDS)) < len(SEEDS)
