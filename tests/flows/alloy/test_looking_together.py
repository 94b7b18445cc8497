"""Lost starts at a large account: one list answers all who asked before it was begun, and only their rows are read."""

import asyncio
import json
from threading import get_ident
from typing import Any

import httpx
import pytest
from pydantic import JsonValue

from flows.alloy.client import AlloyClient
from flows.alloy.errors import Call
from flows.alloy.transport import DECODED_AT_ONCE
from states.failures import Halted, Transient
from states.holds import Reason
from tests.flows.alloy.vendor import answer, speaking_to


def row(number: int, **changes: object) -> dict[str, object]:
    return {
        "installationId": f"n{number}",
        "userId": f"u{number}",
        "integrationId": "i",
        "formData": [],
        "credentialIds": {"shopifyApi": f"c{number}"},
        **changes,
    }


class SlowList:
    """Answers each call when it is told to, with what is in the list at the moment at which the call came in."""

    def __init__(self, *rows: dict[str, object], status: int = 200) -> None:
        self.rows = list(rows)
        self.status = status
        self.calls = 0
        self.came = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        seen = answer({"data": list(self.rows)}, self.status)
        self.came.set()
        await self.go.wait()
        return httpx.Response(seen.status_code, content=seen.content, request=request)


async def looking(client: AlloyClient, vendor: SlowList, numbers: range) -> list[asyncio.Task[Any]]:
    """Let these users' installations be looked for, and return when the first call has come in."""
    tasks = [asyncio.create_task(client.find_installations(f"u{number}", "i")) for number in numbers]
    await vendor.came.wait()
    return tasks


async def test_twenty_who_look_at_once_share_two_lists() -> None:
    vendor = SlowList(*map(row, range(20)))
    async with speaking_to(vendor) as client:
        tasks = await looking(client, vendor, range(20))
        vendor.go.set()
        found = await asyncio.gather(*tasks)

    assert [[one.installation_id for one in of_user] for of_user in found] == [[f"n{number}"] for number in range(20)]
    assert vendor.calls <= 2


async def test_who_asks_while_a_list_is_under_way_is_answered_from_a_later_one() -> None:
    vendor = SlowList(row(0))
    async with speaking_to(vendor) as client:
        [first] = await looking(client, vendor, range(1))
        vendor.rows.append(row(1))
        later = asyncio.create_task(client.find_installations("u1", "i"))
        vendor.go.set()

        await first
        assert [one.installation_id for one in await later] == ["n1"]


async def test_a_list_that_fails_fails_for_all_who_share_it() -> None:
    vendor = SlowList(status=403)
    async with speaking_to(vendor) as client:
        tasks = await looking(client, vendor, range(20))
        vendor.go.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(one) for one in ended] == [Halted] * 20
    assert len({id(one) for one in ended}) == 20
    assert vendor.calls <= 2


async def test_whoever_looks_for_the_others_may_be_cancelled() -> None:
    vendor = SlowList(*map(row, range(3)))
    async with speaking_to(vendor) as client:
        first, *others = await looking(client, vendor, range(3))
        first.cancel()
        vendor.go.set()
        found = await asyncio.gather(*others)

    assert [[one.installation_id for one in of_user] for of_user in found] == [["n1"], ["n2"]]


async def test_hosts_without_a_list_are_asked_once_however_many_look_at_once() -> None:
    vendor = SlowList(status=404)
    async with speaking_to(vendor) as client:
        tasks = await looking(client, vendor, range(20))
        vendor.go.set()

        assert await asyncio.gather(*tasks) == [None] * 20
    assert vendor.calls == 1


async def found_in(*rows: object) -> list[str] | None:
    async with speaking_to(lambda _request: answer({"data": rows})) as client:
        found = await client.find_installations("u1", "i")
    return None if found is None else [one.installation_id for one in found]


async def test_what_a_row_of_somebody_else_holds_does_not_matter() -> None:
    assert await found_in(row(0, enabled="perhaps", formData=7), row(1), row(2, enabled=[])) == ["n1"]


@pytest.mark.parametrize("owner", [{"userId": None}, {"userId": "", "integrationId": ""}])
async def test_a_row_that_says_that_it_is_nobodys_is_not_ours(owner: dict[str, object]) -> None:
    assert await found_in(row(0, **owner), row(1)) == ["n1"]


async def test_ids_may_be_numbers() -> None:
    async with speaking_to(lambda _request: answer([row(1, userId=7, integrationId=8), row(2)])) as client:
        found = await client.find_installations("7", "8")

    assert found is not None
    assert [one.installation_id for one in found] == ["n1"]


@pytest.mark.parametrize(
    "odd",
    [
        *({name: value for name, value in row(0).items() if name != lost} for lost in list(row(0))[:3]),
        row(0, installationId=None), row(1, enabled="perhaps"), "n0", None,
    ],
)  # fmt: skip
async def test_a_row_that_may_be_ours_and_cannot_be_read_proves_no_absence(odd: object) -> None:
    with pytest.raises(Transient) as raised:
        await found_in(row(2), odd)

    assert raised.value.reason is Reason.unreadable_answer


@pytest.mark.parametrize(("size", "here"), [(10, True), (DECODED_AT_ONCE + 1, False)])
async def test_a_long_answer_is_decoded_where_nobody_waits_for_it(size: int, here: bool) -> None:
    decoded_by: set[int] = set()

    def keep(thing: dict[str, JsonValue]) -> dict[str, JsonValue]:
        decoded_by.add(get_ident())
        return thing

    body = json.dumps({"data": [{"text": "x" * size}]}).encode()
    async with speaking_to(lambda _request: httpx.Response(200, content=body)) as client:
        await client._channel.send(Call("GET", "/installations", "/installations", keep=keep))

    assert (decoded_by == {get_ident()}) is here
