"""Intake, edited intake, run, resume, answer, cancel, crash, consent, deny, twice: in any order, against the model.

A failing example is printed as the few steps that it takes, and ``@reproduce_failure`` of Hypothesis replays it.
"""

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
from tests.stateful.model import ASKED, BOB, CUSTOMERS, INTEGRATIONS, ORDER, VARIANTS, Onboarding, auth_of

usernames = st.sampled_from(CUSTOMERS)
told = st.sampled_from([None, "first@example.test", "second@example.test"])
choices = st.one_of(
    st.just(Chosen()),
    st.builds(Chosen, username=usernames),
    st.builds(Chosen, integration=st.sampled_from(INTEGRATIONS)),
    st.builds(Chosen, stage=st.sampled_from(ORDER)),
    st.builds(Chosen, username=usernames, integration=st.sampled_from(INTEGRATIONS)),
)

pytestmark = pytest.mark.long


class Operators(RuleBasedStateMachine):
    """What people do, to the real thing and to the model alike.

    Few rules, each with several forms, and none that finds nothing to do: so that short examples get far.
    """

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.model: dict[tuple[str, str], Onboarding] = {}
        house.empty()

    # --- lists

    @initialize(given=st.lists(told, min_size=len(CUSTOMERS), max_size=len(CUSTOMERS)))
    def take_everybody_in(self, given: list[str | None]) -> None:
        """Everybody is on the list at first, but for one, who may come later."""
        for username, of_list in zip(CUSTOMERS, given, strict=True):
            for integration in INTEGRATIONS:
                if (username, integration) != (BOB, KLAVIYO):
                    self._take_in(username, integration, VARIANTS[0], of_list)

    @rule(username=usernames, integration=st.sampled_from(INTEGRATIONS), variant=st.sampled_from(VARIANTS), given=told)
    def take_in(self, username: str, integration: str, variant: str, given: str | None) -> None:
        """A row: a new one, the same one again, or an edited one."""
        self._take_in(username, integration, variant, given)

    def _take_in(self, username: str, integration: str, variant: str, given: str | None) -> None:
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

    @rule(username=st.none() | usernames, again=st.booleans())
    def run(self, username: str | None, again: bool) -> None:
        """A run over everybody, or over one customer, which moves nobody else; once more, it finds nothing to do."""
        self.house.run(username)
        for one in self.model.values():
            if username in (None, one.username):
                one.stand_at(one.reach()[0])
                one.certain |= (
                    not one.cancelled
                )  # what a dead process did for those who were cancelled is not looked up
        if again:
            posts = self._posts()
            self.house.run(username)
            assert self._posts() == posts, "the second run changed something at Alloy"

    @precondition(lambda self: any(one.under_way for one in self.model.values()))
    @rule(username=usernames, boundary=st.integers(1, 50))
    def crash(self, username: str, boundary: int) -> None:
        """A run that is killed at one of its transactions or calls."""
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

    @precondition(lambda self: any(self._takes_answers(username) for username in CUSTOMERS))
    @rule(username=usernames, answer=told.filter(bool))
    def answer(self, username: str, answer: str) -> None:
        """An answer by hand reaches whatever of a customer is not mapped yet."""
        takes = self._takes_answers(username)
        assert self.house.answer(username, ASKED, answer) == bool(takes)
        for one in takes:
            one.answered = answer

    def _takes_answers(self, username: str) -> list[Onboarding]:
        return [
            one
            for one in self.model.values()
            if one.username == username and one.under_way and one.stage is not Stage.mapped
        ]

    @precondition(lambda self: self.house.links())
    @rule(data=st.data(), grants=st.booleans())
    def decide(self, data: st.DataObject, grants: bool) -> None:
        """Whoever has a link, which names the shop that the list says, grants or declines."""
        links = self.house.links()
        username = data.draw(st.sampled_from(sorted(links)))
        one = self.model[username, SHOPIFY]
        shop = auth_of(SHOPIFY, one.variant)
        assert links[username].endswith(f"shopSubdomain={shop['shopSubdomain']}")
        if grants:
            self.house.world.sandbox.grant(username, "shopify", shop)
            one.consented = True
        else:
            self.house.world.sandbox.deny(username, "shopify", shop)

    # --- operators

    @precondition(lambda self: any(one.under_way for one in self.model.values()))
    @rule(chosen=choices)
    def cancel(self, chosen: Chosen) -> None:
        """Whoever is chosen, also while a dead process still has them, is ended; the completed are not."""
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

    @precondition(lambda self: any(one.cancelled for one in self.model.values()))
    @rule(data=st.data(), named=st.booleans())
    def redrive(self, data: st.DataObject, named: bool) -> None:
        """Who was cancelled goes on if they are named as such, and only then."""
        cancelled = {one.username for one in self.model.values() if one.cancelled}
        username = data.draw(st.sampled_from(sorted(cancelled)))
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


def play(database_url: str, home: Path, examples: int, steps: int) -> None:
    """Play ``examples`` of at most ``steps`` steps each."""
    with open_house(database_url, home) as house:
        run_state_machine_as_test(
            lambda: Operators(house),
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


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_whatever_operators_do_in_any_order_comes_out_as_the_model_says(database_url: str, tmp_path: Path) -> None:
    play(database_url, tmp_path, examples=60, steps=20)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_whatever_operators_do_comes_out_the_same_on_postgresql(database_url: str, tmp_path: Path) -> None:
    play(database_url, tmp_path, examples=10, steps=20)
