"""Every two positions of every two knobs at once: the twelve customers' journey under a covering array of pairs.

:mod:`tests.flows.test_journey` turns each knob by itself; here every row turns about half of them, and every pair of
positions that can be together is in some row. Dialect and profile are factors like the others.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.sandbox.knobs import Knobs
from tests.flows.covering import Row, covering_rows
from tests.flows.test_journey import assert_everybody_is_installed_once, travel
from tests.flows.world import World, on_sqlite

FACTORS: dict[str, tuple[object, ...]] = {
    "retry_after": (None, "seconds", "date", "absent", "zero", "huge"),
    "dup_user": (409, 200, 400, 422),
    "dialect": ("seed", "2024-03", "2025-09"),
    "dialect_fields": ("mixed", "2024-03", "2025-09"),
    "credentials_route": ("both", "users", "credentials"),
    "error_body": ("message", "empty", "html"),
    "raw_key": ("profile", "accept", "refuse"),
    "dup_start": ("new", "existing", "409"),
    "recomplete": ("ok", "400", "409"),
    "profile": ("seed", "strict"),
    "installations_resource": (True, False),
    "reject_unknown": (False, True),
    "revoked_keys": ((), ("prod",)),
    "forbidden_keys": ((), ("prod",)),
    "fold_username_case": (False, True),
    "shuffle_users": (False, True),
    "hidden_cap": (None, 1),
    "unknown": (404, 400),
    "allow_token_import": (False, True),
    "verify_secret": (False, True),
    "shuffle_credentials": (False, True),
    "visibility_lag_ms": (0, 7000),
    "list_started": (True, False),
    "hidden_cap_installations": (None, 0),
    "regrant": ("new", "refresh"),
    "link_life_ms": (None, 60_000),
    "link_single_use": (False, True),
    "grant_lag_ms": (0, 7000),
    "post_oauth_redirect": (None, "https://isv.example.test/connected"),
    "auto_after_ms": (0, 90_000),
    "auto_repeats": (False, True),
    "latency_ms": (0, 5),
    "latency_after_ms": (0, 5),
}
"""``retry_after`` None is a host without a rate limit; every other position has one that is met."""

FIXED = {
    "auto": "everybody consents, or nobody could be installed",
    "abandonment": "likewise",
    "barred_users": "whoever is barred ends in a hold: tests.flows.test_journey shows it by itself",
    "rate_limit_per_s": "turned together with retry_after, which means nothing without it",
    "rate_limit_burst": "likewise",
    "users_batch": "fourteen are no long page: tests.flows.test_users_together turns it",
}
"""Knobs that are no factor, and why."""


def can_be_together(row: Mapping[str, object]) -> bool:
    """Leave out what no customer could get through."""
    # A link that is dead after a minute is never followed by somebody who acts after a minute and a half.
    return not (row.get("link_life_ms") and row.get("auto_after_ms"))


ROWS = covering_rows(FACTORS, can_be_together)


def knobs_of(row: Row) -> Knobs:
    turned = {name: value for name, value in row.items() if name not in ("dialect", "retry_after")}
    if row["retry_after"] is not None:
        turned |= {"retry_after": row["retry_after"], "rate_limit_per_s": 30, "rate_limit_burst": 15}
    return Knobs(auto="grant", **turned)  # type: ignore[arg-type]


def test_every_knob_is_a_factor_or_is_left_out_for_a_reason() -> None:
    knobs = {field.name for field in fields(Knobs)}

    assert knobs == (FACTORS.keys() - {"dialect"}) | FIXED.keys()


@on_sqlite
@pytest.mark.parametrize("row", ROWS, ids=[f"row {number}" for number in range(len(ROWS))])
async def test_everybody_is_installed_once_whichever_two_knobs_are_turned(
    database_url: str, tmp_path: Path, row: Row
) -> None:
    dialect = str(row["dialect"])
    limited = row["retry_after"] is not None
    async with World(database_url, tmp_path, knobs=knobs_of(row), dialect=dialect) as world:
        await travel(world, patience=timedelta(days=2) if limited else timedelta(minutes=10))

        assert_everybody_is_installed_once(world, asked_again=limited)
