"""All workers of a database share one pace: turns are reserved once, and a refusal is news once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from sqlalchemy import Engine, select, text

from states.pace import LONGEST_BLOCK, Block, News
from store.engine import make_engine, reading
from store.models import ACCOUNT_PACE
from store.pace import account_of, exchange
from store.pace_found import found_paces

NOW = 1_800_000_000.0
ACCOUNT = account_of("https://alloy.test", "a key")


@pytest.fixture
def other(database_url: str) -> Iterator[Engine]:
    """Another worker's door to the same database."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def moments(block: Block) -> list[float]:
    assert block.limit is not None
    return [block.first_at + number / block.limit for number in range(block.number)]


def test_two_workers_reserve_different_turns_of_one_line(engine: Engine, other: Engine) -> None:
    blocks = [exchange(one, ACCOUNT, 40.0, News(), 10, NOW) for one in (engine, other, engine, other)]

    turns = [at for block in blocks for at in moments(block)]
    assert len(turns) > 20
    assert [later - earlier for earlier, later in pairwise(turns)] == pytest.approx(
        [1 / 40] * (len(turns) - 1), abs=1e-5
    )


def test_workers_that_ask_at_one_moment_reserve_different_turns(engine: Engine, other: Engine) -> None:
    def reserve(number: int) -> Block:
        return exchange((engine, other)[number % 2], ACCOUNT, 40.0, News(), 3, NOW)

    with ThreadPoolExecutor(4) as threads:
        turns = sorted(at for block in threads.map(reserve, range(24)) for at in moments(block))

    assert min(later - earlier for earlier, later in pairwise(turns)) == pytest.approx(1 / 40, abs=1e-5)


def test_a_block_is_a_quarter_of_a_second_at_most_and_less_when_others_have_reserved(
    engine: Engine, other: Engine
) -> None:
    first = exchange(engine, ACCOUNT, 40.0, News(), 1000, NOW)
    second = exchange(other, ACCOUNT, 40.0, News(), 1000, NOW)

    assert first.number == 40 * LONGEST_BLOCK
    assert 0 < second.number < first.number


def test_workers_that_are_refused_together_cut_the_rate_once(engine: Engine, other: Engine) -> None:
    before = exchange(engine, ACCOUNT, None, News(), 1, NOW)
    one = exchange(engine, ACCOUNT, None, News(refused_in=before.epoch), 0, NOW)
    another = exchange(other, ACCOUNT, None, News(refused_in=before.epoch), 0, NOW + 0.1)

    assert one.limit is not None
    assert before.limit is not None
    assert one.limit < before.limit
    assert (another.epoch, another.limit) == (one.epoch, one.limit)


def test_a_pause_is_everybodys(engine: Engine, other: Engine) -> None:
    exchange(engine, ACCOUNT, 40.0, News(paused_until=NOW + 20), 0, NOW)
    block = exchange(other, ACCOUNT, 40.0, News(), 1, NOW + 1)

    assert block.paused_until == NOW + 20
    assert moments(block) == [NOW + 20]


def test_what_was_found_outlives_the_process(database_url: str, engine: Engine) -> None:
    exchange(engine, ACCOUNT, None, News(successes=50), 1, NOW)
    found_rate = exchange(engine, ACCOUNT, None, News(), 1, NOW + 1).limit
    engine.dispose()
    restarted = make_engine(database_url)
    again = exchange(restarted, ACCOUNT, None, News(), 1, NOW + 300)
    restarted.dispose()

    assert found_rate is not None
    assert found_rate > 30
    assert again.limit == found_rate


def test_accounts_do_not_share_a_pace(engine: Engine) -> None:
    exchange(engine, ACCOUNT, None, News(successes=50, paused_until=NOW + 20), 1, NOW)
    other = exchange(engine, account_of("https://alloy.test", "another key"), None, News(), 1, NOW)

    assert (other.limit, other.paused_until) == (2.0, 0.0)


def test_the_key_is_not_kept(engine: Engine) -> None:
    exchange(engine, account_of("https://alloy.test", "sk_live_canary"), None, News(), 1, NOW)

    with reading(engine) as connection:
        kept = connection.execute(select(ACCOUNT_PACE)).one()
    assert "canary" not in str(kept)


def test_it_is_told_how_fast_an_account_is_called(engine: Engine) -> None:
    exchange(engine, ACCOUNT, None, News(successes=50), 1, NOW)
    exchange(engine, ACCOUNT, None, News(refused_in=0), 1, NOW + 1)
    exchange(engine, account_of("https://alloy.test", "old"), 7.0, News(), 1, NOW - 3600)

    [told] = found_paces(engine)
    assert told.rate is not None
    assert (told.given, told.limit_met, told.paused_until) == (False, True, None)


def test_a_look_for_news_that_finds_none_writes_nothing(engine: Engine) -> None:
    exchange(engine, ACCOUNT, 40.0, News(), 1, NOW)
    with reading(engine) as connection:
        before = connection.execute(select(ACCOUNT_PACE)).one()

    exchange(engine, ACCOUNT, 40.0, News(), 0, NOW + 1)

    with reading(engine) as connection:
        assert connection.execute(select(ACCOUNT_PACE)).one() == before
        assert connection.scalar(text("SELECT count(*) FROM accountpace")) == 1
