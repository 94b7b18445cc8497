"""Which integrations the account has and what their apps ask for: read from Alloy, kept in the store.

A list may name an integration by its id, its label or its connector, and the name that the metadata route wants is
yet another one (vendor contract, 4.6), so names are settled against the account's own catalogue. Alloy shows it only
on behalf of some user; in an empty account it can be read when the first user exists. What is kept is used by every run
and read again for every list, since an app may change, and a lie that was once believed must not be believed for ever.
"""

from datetime import timedelta

from flows.resources import Resources
from flows.steps.attempt import Attempt
from states.failures import Rejected
from states.holds import Reason
from store.catalogue import (
    AmbiguousIntegration,
    AppEntry,
    CatalogueEntry,
    UnknownIntegration,
    load,
    save_app,
    save_integrations,
)

_READ_AGAIN_AFTER = timedelta(minutes=1)
"""A list with a thousand rows of one misspelt name asks for it once, not a thousand times."""


async def settle_integration(attempt: Attempt) -> AppEntry:
    """Make sure that it is known which integration and app the record's list meant; return the app.

    Raises :class:`states.failures.Rejected` if the account has no such integration, several, or if another onboarding
    of this customer turns out to be for the same one.
    """
    record, resources = attempt.record, attempt.resources
    if record.integration_id is not None and record.app is not None:
        known = resources.catalogue.app(record.app)
        if known is not None:
            return known
    async with resources.catalogue_lock:  # a hundred records that lack the same answer ask for it once
        entry = await _resolve(resources, record.integration_id or record.integration, _some_user(attempt))
        app = await find_app(resources, entry)
    if any(sibling.integration_id == entry.integration_id for sibling in record.siblings):
        raise Rejected(
            Reason.same_onboarding_twice, f"another row of this customer is for the same integration, {entry.label}"
        )
    settled = {"integration_id": entry.integration_id, "app": app.app}
    if all(sibling.integration_key != entry.integration_id for sibling in record.siblings):
        # Else another row names it by this id, and is the one that will be held when its turn comes.
        settled["integration_key"] = entry.integration_id
    await attempt.learn(**settled)
    return app


async def read_integrations(resources: Resources, user: str) -> None:
    """Read the account's integrations on behalf of ``user`` and keep them."""
    listed = await resources.alloy.list_integrations(user)
    entries = [CatalogueEntry.of(one.integration_id, one.label, one.app_names) for one in listed]
    await resources.in_thread(save_integrations, resources.engine, entries, resources.clock.now())
    resources.catalogue = await resources.in_thread(load, resources.engine)
    resources.catalogue_read_at = resources.clock.now()


async def find_app(resources: Resources, entry: CatalogueEntry, *, anew: bool = False) -> AppEntry:
    """Return what the integration's app asks for, from the store or from Alloy; ``anew`` from Alloy in any case.

    Raises :class:`states.failures.Rejected` if Alloy knows none of the names by which the app may go.
    """
    known = resources.catalogue.app_of(entry)
    if known is not None and not anew:
        return known
    # The name that was known before is asked for first: most likely it is the only one that has to be.
    for name in sorted(entry.apps, key=lambda name: known is None or name != known.app):
        metadata = await resources.alloy.credential_metadata(name)
        if metadata is not None:
            app = AppEntry(name, metadata.is_oauth, tuple(wanted.name for wanted in metadata.properties))
            await resources.in_thread(save_app, resources.engine, app, resources.clock.now())
            resources.catalogue = await resources.in_thread(load, resources.engine)
            return app
    raise Rejected(
        Reason.unknown_integration,
        f"Alloy describes no credential for {entry.label} (asked for {', '.join(entry.apps) or 'nothing'})",
    )


async def _resolve(resources: Resources, name: str, user: str) -> CatalogueEntry:
    try:
        return resources.catalogue.resolve(name)
    except UnknownIntegration:
        read_at = resources.catalogue_read_at
        if read_at is None or resources.clock.now() - read_at >= _READ_AGAIN_AFTER:
            await read_integrations(resources, user)  # it may have been added since
    except AmbiguousIntegration as fault:
        raise Rejected(Reason.ambiguous_integration, str(fault)) from fault
    try:
        return resources.catalogue.resolve(name)
    except UnknownIntegration as fault:
        raise Rejected(Reason.unknown_integration, str(fault)) from fault
    except AmbiguousIntegration as fault:
        raise Rejected(Reason.ambiguous_integration, str(fault)) from fault


def _some_user(attempt: Attempt) -> str:
    if attempt.record.alloy_user_id is None:
        raise RuntimeError("the catalogue is asked for on behalf of a user, and this onboarding has none yet")
    return attempt.record.alloy_user_id
