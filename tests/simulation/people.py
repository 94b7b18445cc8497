"""The people around: customers who consent or decline, and operators at their desks.

While things go wrong they act at random. Afterwards they do what the holds ask them to do, and nothing else.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

from sqlalchemy import Engine

from deployments.sandbox.consent_desk import Question
from deployments.sandbox.refusal import Refused
from states.forms import Given
from states.holds import HoldKind, Reason
from store.cancelling import cancel
from store.choosing import Chosen
from store.desk import answer, redrive, renew_links
from store.pausing import go_on
from store.views import NotFound
from tests.simulation.alloy import SimulatedAlloy
from tests.simulation.beginning import hand_in
from tests.simulation.books import Books
from tests.simulation.plan import Person, Plan
from tests.simulation.worker import Surroundings

_LINK_IS_OLD = timedelta(seconds=15)


class People:
    """Everybody who acts by hand."""

    def __init__(self, plan: Plan, around: Surroundings, alloy: SimulatedAlloy, engine: Engine, books: Books) -> None:
        self._plan = plan
        self._around = around
        self._alloy = alloy
        self._engine = engine
        self._books = books
        self._random = Random(f"people/{plan.seed}")  # noqa: S311 - repeatable
        self._granted: dict[Question, float] = {}

    async def meddle(self) -> None:
        """Do things at random, for ever."""
        acts = (
            *(self._decide, self._decide, self._decide, self._redrive, self._answer, self._renew),
            *(self._cancel, self._take_back, self._go_on),
        )
        while True:
            await asyncio.sleep(self._random.random() * 6)
            act, person = self._random.choice(acts), self._random.choice(self._plan.people)
            if act(person):
                self._acted(act.__name__.strip("_"), person)

    def do_what_is_asked(self) -> None:
        """Do what the holds ask for: consent, answer, send a new link, have it tried again, hand the list in again."""
        # A paused list goes on first without those who were refused: they may be refused again, and pause it again.
        mends = self._go_on if self._books.is_paused else self._redrive
        for person in self._plan.people:
            for act in (self._answer, self._take_back, self._bring_again, mends, self._renew_if_needed):
                if act(person):
                    self._acted(act.__name__.strip("_"), person)

    def consent(self) -> None:
        """Let all customers grant what they were asked and have not granted in the last hour."""
        for person in self._plan.people:
            if self._consent(person):
                self._acted("consent", person)

    def _acted(self, what: str, person: Person) -> None:
        self._around.trace.note("people", f"{what} {person.username}")
        self._books.look(None)
        self._around.tell()

    # --- operators

    def _redrive(self, person: Person) -> bool:
        """Have it tried again; but not what is installed already, which would be installed once more, on purpose."""
        number = 0
        for entry in self._books.entries.values():
            if entry.username == person.username and entry.hold == HoldKind.operator:
                if entry.reason == Reason.already_installed:
                    continue
                chosen = Chosen(username=person.username, integration=entry.integration)
                number += redrive(self._engine, chosen, by="an operator", now=self._around.now())
        return number > 0

    def _cancel(self, person: Person) -> bool:
        chosen = Chosen(username=person.username)
        return cancel(self._engine, chosen, by="an operator", now=self._around.now()).number > 0

    def _take_back(self, person: Person) -> bool:
        """Let who was cancelled go on after all: their auth values are gone, and the list brings them again."""
        chosen = Chosen(username=person.username, hold=HoldKind.cancelled)
        if not redrive(self._engine, chosen, by="an operator", now=self._around.now()):
            return False
        hand_in(self._plan, self._engine, self._around)
        return True

    def _bring_again(self, person: Person) -> bool:
        """Hand the list in once more if a worker had somebody in hand when it was to bring their auth values again."""
        lacking = any(
            entry.username == person.username and entry.reason == Reason.missing_auth
            for entry in self._books.entries.values()
        )
        if lacking:
            hand_in(self._plan, self._engine, self._around)
        return lacking

    def _go_on(self, person: Person) -> bool:
        """Let a list go on that is paused, whoever asks for it."""
        del person
        return self._books.is_paused and go_on(self._engine, 1, self._around.now())

    def _answer(self, person: Person) -> bool:
        answered = 0
        for wish in person.onboardings:
            given = [Given(name=name, value=value) for name, value in wish.offer.answers.items()]
            chosen = Chosen(
                username=person.username, integration=wish.offer.integration_id, reason=Reason.awaiting_answer
            )
            if given:
                with suppress(NotFound):
                    answered += answer(self._engine, chosen, given, by="an operator", now=self._around.now())
        return answered > 0

    def _renew(self, person: Person) -> bool:
        chosen = Chosen(username=person.username)
        return renew_links(self._engine, chosen, by="an operator", now=self._around.now()) > 0

    def _renew_if_needed(self, person: Person) -> bool:
        """Send a new link to whoever has been waiting for longer than some time."""
        before = self._around.now() - _LINK_IS_OLD
        waiting = any(
            entry.username == person.username
            and entry.reason == Reason.awaiting_consent
            and entry.link_issued_at is not None
            and datetime.fromisoformat(entry.link_issued_at).replace(tzinfo=UTC) < before
            for entry in self._books.entries.values()
        )
        return waiting and self._renew(person)

    # --- customers

    def _decide(self, person: Person) -> bool:
        """Let a customer grant or decline what they were asked, if they were."""
        questions = self._asked(person)
        if not questions:
            return False
        return self._press(person, self._random.choice(questions), grants=self._random.random() < 0.7)

    def _consent(self, person: Person) -> bool:
        acted = False
        for question in self._asked(person):
            if self._around.loop.time() - self._granted.get(question, float("-inf")) > 3600:
                acted |= self._press(person, question, grants=True)
        return acted

    def _asked(self, person: Person) -> list[Question]:
        """Return the links that a customer may follow.

        Who connects one app twice follows the latest, if it is waited for: a link that was withdrawn, for one that was
        cancelled or stands still, would connect it in place of the other, and nobody could tell (contract, 12).
        """
        user = self._alloy.account.find_user(person.username)
        issued = self._alloy.world.desk.issued
        asked = [one for one in issued if user is not None and one.user_id == user.user_id]
        if not person.connects_one_app_twice:
            return asked
        if not any(
            entry.username == person.username and entry.reason == Reason.awaiting_consent and entry.link_issued_at
            for entry in self._books.entries.values()
        ):
            return []
        return list({one.connector: one for one in sorted(asked, key=issued.__getitem__)}.values())

    def _press(self, person: Person, question: Question, *, grants: bool) -> bool:
        """Open the page of a link and press one of its buttons, if the link still works."""
        world = self._alloy.world
        if person.connects_one_app_twice and question in self._granted:
            return False  # nobody could tell this consent from the one for the other onboarding (contract, 12)
        try:
            grant, deny = world.desk.open_page(question, world.knobs)
        except Refused:
            return False
        if world.desk.press(grant if grants else deny, question.connector, world.knobs):
            self._granted[question] = self._around.loop.time()
        return True
