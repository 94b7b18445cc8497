"""Intake, edited intake, run, resume, answer, cancel, crash, consent, deny, twice: in any order, against the model.

A failing example is printed as the few steps that it takes, and ``@reproduce_failure`` of Hypothesis replays it.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from deployments.sandbox.account import digest_of
from states.holds import HoldKind
from states.stage import Stage
from store.choosing import Chosen
from tests.flows.world import KLAVIYO, NETSUITE, SHOPIFY, of
from tests.stateful.house import House, open_house
from tests.stateful.model import ANN, ASKED, BOB, CUSTOMERS, INTEGRATIONS, ORDER, VARIANTS, Onboarding, auth_of

usernames = st.sampled_from(CUSTOMERS)
told = st.sampled_from([None, "first@example.test", "second@example.test"])
choices = st.one_of(
    st.builds(Chosen, username=usernames, integration=st.sampled_from(INTEGRATIONS)),
    st.builds(Chosen, stage=st.sampled_from(ORDER)),
    st.builds(Chosen, username=usernames),
    st.builds(Chosen, integration=st.sampled_from(INTEGRATIONS)),
    st.just(Chosen()),
)
AT_FIRST = ((ANN, SHOPIFY), (BOB, SHOPIFY), (ANN, KLAVIYO), (BOB, NETSUITE))
"""Who is on the first list; the others may come later."""


EVERYTHING = {"row", "run", "crash", "answer", "grant", "deny", "cancel", "redrive", "take back"}
"""Every kind of step; a run over everybody is what `resume` does."""


class Operators(RuleBasedStateMachine):
    """What people do, to the real thing and to the model alike.

    Four rules, each of which does one of the things that there are to do: Hypothesis leaves some rules out of each
    example, and of a dozen rules those that only together go wrong would hardly ever meet.
    """

    def __init__(self, house: House, done: Counter[str]) -> None:
        super().__init__()
        self.house = house
        self.done = done
        self.model: dict[tuple[str, str], Onboarding] = {}
        house.empty()

    # --- lists

    @initialize(given=told, begun=st.sampled_from([True, True, False]))
    def first_list(self, given: str | None, begun: bool) -> None:
        """Some are on a list, and perhaps a run has been."""
        for username, integration in AT_FIRST:
            self._take_in(username, integration, VARIANTS[0], given)
        if begun:
            self._run(None)

    @rule(data=st.data(), variant=st.sampled_from(VARIANTS), given=told)
    def lists(self, data: st.DataObject, variant: str, given: str | None) -> None:
        """A row: a new one, the same one again, or an edited one."""
        wanting = sorted(key for key, one in self.model.items() if one.wants_values)
        everybody = [(username, integration) for username in CUSTOMERS for integration in INTEGRATIONS]
        chosen = st.sampled_from(everybody) | st.sampled_from(wanting) if wanting else st.sampled_from(everybody)
        self._take_in(*data.draw(chosen, "row"), variant, given)

    def _take_in(self, username: str, integration: str, variant: str, given: str | None) -> None:
        self.done["row"] += 1
        if integration != NETSUITE:
            given = None
        became = self.house.take_in(
            username, integration, auth_of(integration, variant), {ASKED: given} if given else {}
        )
        one = self.model.get((username, integration))
        if one is None:
            assert became == "added"
            self.model[username, integration] = Onboarding(username, integration, variant, given)
            return
        # What a process that died has left in doubt may not be changed before it is looked up: it may be refused.
        expected = one.on_the_same_list_again(variant, given)
        assert became == expected or (not one.certain and became == "refused")
        if became == "updated":
            one.take(variant, given)

    # --- runs

    @rule(
        kill_at=st.none() | st.integers(1, 40),
        username=usernames,
        everybody=st.booleans(),
        again=st.sampled_from([False, True]),
    )
    def runs(self, kill_at: int | None, username: str, everybody: bool, again: bool) -> None:
        """A run over everybody, or over one customer, which moves nobody else; or one that is killed.

        Once more, it finds nothing to do.
        """
        if kill_at is not None:
            self._crash(username, kill_at)
            return
        self._run(None if everybody else username)
        if again:
            posts = self._posts()
            self._run(None if everybody else username)
            assert self._posts() == posts, "the second run changed something at Alloy"

    def _run(self, username: str | None) -> None:
        self.done["run"] += 1
        self.house.run(username)
        standings = self.house.standings()
        for key, one in self.model.items():
            if username in (None, one.username):
                found = standings[key]
                assert (found.stage, found.hold, found.reason) == one.reach()
                one.stand_at(found.stage)
                # What a dead process did for those who were cancelled is not looked up.
                one.certain = one.certain or not one.cancelled

    def _crash(self, username: str, boundary: int) -> None:
        self.done["crash"] += 1
        self.house.run_and_die(username, boundary)
        standings = self.house.standings()
        for key, one in self.model.items():
            if one.username == username and one.under_way:
                stage = standings[key].stage
                assert ORDER.index(one.stage) <= ORDER.index(stage) <= ORDER.index(one.reach()[0])
                one.stand_at(stage)
                one.certain = False

    def _posts(self) -> int:
        return sum(request.method == "POST" for request in self.house.world.sandbox.requests)

    # --- people

    @precondition(lambda self: self.house.links() or any(one.under_way for one in self.model.values()))
    @rule(data=st.data(), what=st.sampled_from(["grant", "grant", "deny", "answer"]))
    def customers(self, data: st.DataObject, what: str) -> None:
        """Whoever has a link grants or declines; or somebody answers."""
        links = self.house.links()
        if what == "answer" or not links:
            self._answer(data.draw(usernames, "who"), data.draw(told.filter(bool), "answer"))
        else:
            self._decide(data.draw(st.sampled_from(sorted(links)), "who"), links, grants=what == "grant")

    def _answer(self, username: str, answer: str) -> None:
        self.done["answer"] += 1
        takes = [
            one
            for one in self.model.values()
            if one.username == username and one.under_way and one.stage is not Stage.mapped
        ]
        assert self.house.answer(username, ASKED, answer) == bool(takes)
        for one in takes:
            one.answered = answer

    def _decide(self, username: str, links: dict[str, str], *, grants: bool) -> None:
        self.done["grant" if grants else "deny"] += 1
        one = self.model[username, SHOPIFY]
        shop = auth_of(SHOPIFY, one.variant)
        assert links[username].endswith(f"shopSubdomain={shop['shopSubdomain']}")
        if grants:
            self.house.world.sandbox.grant(username, "shopify", shop)
            one.consented = True
        else:
            self.house.world.sandbox.deny(username, "shopify", shop)

    # --- operators

    @rule(data=st.data(), what=st.sampled_from(["cancel", "take back", "redrive"]))
    def operators(self, data: st.DataObject, what: str) -> None:
        """Somebody is cancelled, or goes on again."""
        cancelled = sorted({one.username for one in self.model.values() if one.cancelled})
        if what == "cancel" or not cancelled:
            self._cancel(data.draw(choices, "whom"))
        else:
            self._redrive(data.draw(st.sampled_from(cancelled), "whom"), named=what == "take back")

    def _cancel(self, chosen: Chosen) -> None:
        """Whoever is chosen, also while a dead process still has them, is ended; the completed are not."""
        self.done["cancel"] += 1
        ended = [
            one
            for one in self.model.values()
            if one.under_way
            and chosen.username in (None, one.username)
            and chosen.integration in (None, one.integration)
            and chosen.stage in (None, one.stage)
        ]
        assert self.house.cancel(chosen) == len(ended)
        for one in ended:
            one.cancel()

    def _redrive(self, username: str, *, named: bool) -> None:
        """Who was cancelled goes on if they are named as such, and only then."""
        self.done["take back" if named else "redrive"] += 1
        back = [one for one in self.model.values() if named and one.username == username and one.cancelled]
        number = self.house.redrive(Chosen(username=username, hold=HoldKind.cancelled if named else None))
        assert number == len(back) or not named
        for one in back:
            one.cancelled = False

    # --- what must be so after every step

    @invariant()
    def everybody_stands_where_the_model_says(self) -> None:
        standings = self.house.standings()
        assert standings.keys() == self.model.keys()
        for key, one in self.model.items():
            found = standings[key]
            assert found.stage is one.stage
            assert (found.hold is HoldKind.cancelled) == (one.cancelled and one.stage is not Stage.completed)
            if found.hold is not None and one.certain and not one.cancelled:
                assert found.hold is not HoldKind.retry

    @invariant()
    def what_is_sealed_is_there_as_long_as_it_is_needed_and_no_longer(self) -> None:
        for key, found in self.house.standings().items():
            one = self.model[key]
            assert found.sealed == (len(auth_of(one.integration, one.variant)) if one.sealed else 0)
            assert not (found.links and (one.cancelled or one.stage is not Stage.created))

    @invariant()
    def alloy_has_one_of_everything_and_of_the_right_values(self) -> None:
        account, ledger = self.house.world.sandbox.account, self.house.world.ledger()
        assert ledger.users == len(ledger.users_of) <= len({username for username, _ in self.model})
        for (username, integration), one in self.model.items():
            done = ledger.completed.get(of(username, integration), [])
            started = ledger.started.get(of(username, integration), [])
            if one.certain:
                assert len(done) == (one.stage is Stage.completed)
                assert len(started) == (one.stage in (Stage.installing, Stage.mapped))
            assert len(done) + len(started) <= 1
            for installation in (account.installations[found] for found in done):
                (credential_id,) = installation.credential_ids.values()
                values = auth_of(integration, one.variant)
                assert account.credentials[credential_id].digest == digest_of(credential_id, values)
                told = [
                    field["value"]
                    for block in installation.answers
                    for field in block["fields"]  # type: ignore[attr-defined]
                ]
                assert told == ([one.answer] if integration == NETSUITE else [])


def play(database_url: str, home: Path, examples: int, steps: int) -> Counter[str]:
    """Play ``examples`` of at most ``steps`` steps each; return how many there were of each kind."""
    done: Counter[str] = Counter()
    with open_house(database_url, home) as house:
        run_state_machine_as_test(
            lambda: Operators(house, done),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                print_blob=True,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    return done


@pytest.mark.parametrize(
    ("database_kind", "examples", "steps"),
    [
        pytest.param("sqlite", 60, 20, id="sqlite"),
        pytest.param("postgresql", 8, 20, id="postgresql"),
        pytest.param("sqlite", 1000, 50, id="sqlite-long", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
        pytest.param("postgresql", 200, 50, id="postgresql-long", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
    ],
)
def test_whatever_operators_do_in_any_order_comes_out_as_the_model_says(
    database_url: str, tmp_path: Path, examples: int, steps: int, record_property: Callable[[str, object], None]
) -> None:
    done = play(database_url, tmp_path, examples, steps)

    assert examples < len(EVERYTHING) or set(done) == EVERYTHING
    record_property(
        "proof", f"{done.total()} steps in {examples} orders: {', '.join(f'{n} {r}' for r, n in done.items())}"
    )
