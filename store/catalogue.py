"""The account's integrations and apps, as last read from Alloy: what the names in a list mean.

Kept so that a list can be checked before anything is called, and read into plain values, so that it may be held for
as long as a run lasts without a session.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache

from pydantic import JsonValue
from sqlalchemy import Engine, delete, select
from sqlmodel import col

from store.engine import insert, reading, writing
from store.models import Capability, CatalogueApp, CatalogueIntegration
from store.outages import outlasting_outages


class UnknownIntegration(LookupError):
    """The account has no integration of this name; the text suggests what may have been meant."""

    def __init__(self, sentence: str, suggestions: Sequence[str] = ()) -> None:
        super().__init__(sentence, suggestions)
        self.sentence = sentence
        self.suggestions = tuple(suggestions)

    def __str__(self) -> str:
        return self.sentence


class AmbiguousIntegration(LookupError):
    """Several integrations go by this name; the text gives their ids."""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """An integration of the account."""

    integration_id: str
    label: str
    apps: tuple[str, ...]
    """Connector ids, the one whose credential it needs first."""
    names: tuple[str, ...]
    """Every name by which a list may call it, folded."""

    @classmethod
    def of(cls, integration_id: str, label: str, apps: Iterable[str]) -> "CatalogueEntry":
        """Return the entry with the names that follow: its id, its label and its apps'."""
        kept = tuple(apps)
        names = dict.fromkeys(fold(name) for name in (integration_id, label, *kept) if fold(name))
        return cls(integration_id, label, kept, tuple(names))


@dataclass(frozen=True, slots=True)
class AppEntry:
    """What an app's credential asks for."""

    app: str
    is_oauth: bool
    properties: tuple[str, ...]


@dataclass(frozen=True)
class Catalogue:
    """Integrations and apps, to look names up in. Without any entry nothing is known yet, and nothing is refused."""

    entries: tuple[CatalogueEntry, ...] = ()
    apps: Mapping[str, AppEntry] = field(default_factory=dict)
    _by_name: dict[str, list[CatalogueEntry]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, list[CatalogueEntry]] = defaultdict(list)
        for entry in self.entries:
            for name in entry.names:
                by_name[name].append(entry)
        self._by_name.update(by_name)

    def resolve(self, text: str) -> CatalogueEntry:
        """Return the integration that ``text`` names: its id, or a label or connector that no other one has.

        Upper and lower case do not matter. Raises :class:`UnknownIntegration` or :class:`AmbiguousIntegration`.
        """
        name = fold(text)
        found = self._named(name)
        if len(found) == 1:
            return found[0]
        if not found:
            close = _close(name, tuple(self._by_name))
            suggestions = list(dict.fromkeys(self._by_name[one][0].label or one for one in close))
            hint = f"; did you mean {' or '.join(suggestions)}?" if suggestions else ""
            raise UnknownIntegration(f"the account has no integration {_cut(text)!r}{hint}", suggestions)
        ids = ", ".join(f"{entry.integration_id} ({entry.label})" for entry in found)
        raise AmbiguousIntegration(f"several integrations go by {_cut(text)!r}: {ids}")

    def label(self, text: str) -> str | None:
        """Return what the integration is called at Alloy that ``text`` names; None if it does not name just one."""
        found = self._named(fold(text))
        return (found[0].label or found[0].integration_id) if len(found) == 1 else None

    def _named(self, name: str) -> list[CatalogueEntry]:
        """Return those that go by a folded name; the one alone whose id it is."""
        found = self._by_name.get(name, [])
        return [entry for entry in found if fold(entry.integration_id) == name][:1] or found

    def app(self, name: str) -> AppEntry | None:
        """Return what the app ``name`` asks for; None if that was not read yet."""
        return self.apps.get(name)

    def app_of(self, entry: CatalogueEntry) -> AppEntry | None:
        """Return the app whose credential ``entry`` needs; None if that was not read yet."""
        return next((self.apps[name] for name in entry.apps if name in self.apps), None)


# A long list may say the same wrong name in every row, and to look for what is like it takes milliseconds.
@lru_cache(maxsize=256)
def _close(name: str, known: tuple[str, ...]) -> list[str]:
    return get_close_matches(name, known, n=3, cutoff=0.6)


def fold(name: str) -> str:
    """Return ``name`` as it is compared: without regard to case and to the white space in and around it."""
    return " ".join(name.split()).casefold()


@outlasting_outages
def load(engine: Engine) -> Catalogue:
    """Read the whole catalogue; empty if none was saved."""
    with reading(engine) as connection:
        integrations = connection.execute(
            select(
                col(CatalogueIntegration.integration_id),
                col(CatalogueIntegration.label),
                col(CatalogueIntegration.apps),
                col(CatalogueIntegration.names),
            ).order_by(col(CatalogueIntegration.integration_id))
        ).all()
        apps = connection.execute(
            select(col(CatalogueApp.app), col(CatalogueApp.is_oauth), col(CatalogueApp.properties))
        ).all()
    return Catalogue(
        tuple(CatalogueEntry(one, label, tuple(of), tuple(names)) for one, label, of, names in integrations),
        {name: AppEntry(name, is_oauth, tuple(properties)) for name, is_oauth, properties in apps},
    )


@outlasting_outages
def save_integrations(engine: Engine, integrations: Iterable[CatalogueEntry], now: datetime) -> None:
    """Keep ``integrations`` in place of those known so far: what the account no longer has is forgotten."""
    rows = [
        {
            "integration_id": entry.integration_id,
            "label": entry.label,
            "apps": list(entry.apps),
            "names": list(entry.names),
            "read_at": now,
        }
        for entry in {entry.integration_id: entry for entry in integrations}.values()
    ]
    statement = insert(engine, CatalogueIntegration)
    replaced = {name: statement.excluded[name] for name in ("label", "apps", "names", "read_at")}
    with writing(engine) as connection:
        # Deleted and written by key: two processes that do this at once must not meet each other's rows as conflicts.
        kept = [row["integration_id"] for row in rows]
        connection.execute(
            delete(CatalogueIntegration).where(col(CatalogueIntegration.integration_id).not_in(kept)),
        )
        if rows:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["integration_id"], set_=replaced),
                sorted(rows, key=lambda row: str(row["integration_id"])),
            )


@outlasting_outages
def save_app(engine: Engine, app: AppEntry, now: datetime) -> None:
    """Keep what an app's credential asks for."""
    values = {"is_oauth": app.is_oauth, "properties": list(app.properties), "read_at": now}
    statement = insert(engine, CatalogueApp).values(app=app.app, **values)
    with writing(engine) as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["app"], set_=values))


@outlasting_outages
def load_capabilities(engine: Engine, host: str) -> dict[str, JsonValue]:
    """Return what was learnt about ``host``; empty if nothing was."""
    with reading(engine) as connection:
        learnt = connection.scalar(select(col(Capability.learnt)).where(col(Capability.host) == host))
    return learnt or {}


@outlasting_outages
def save_capabilities(engine: Engine, host: str, learnt: Mapping[str, JsonValue]) -> None:
    """Keep what was learnt about ``host``."""
    values = {"learnt": dict(learnt)}
    statement = insert(engine, Capability).values(host=host, **values)
    with writing(engine) as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["host"], set_=values))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
