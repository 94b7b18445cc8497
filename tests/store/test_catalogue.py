from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from store.catalogue import (
    AmbiguousIntegration,
    AppEntry,
    Catalogue,
    CatalogueEntry,
    UnknownIntegration,
    load,
    load_capabilities,
    save_app,
    save_capabilities,
    save_integrations,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHOPIFY = CatalogueEntry.of("a" * 24, "Shopify  Orders", ["shopify"])
STORE = CatalogueEntry.of("b" * 24, "Store sync", ["magento", "shipper"])
ORDERS = CatalogueEntry.of("c" * 24, "Order sync", ["magento"])
CATALOGUE = Catalogue((SHOPIFY, STORE, ORDERS), {"shipper": AppEntry("shipper", True, ())})


@pytest.mark.parametrize("text", ["a" * 24, "A" * 24, "shopify orders", " SHOPIFY Orders ", "Shopify"])
def test_an_integration_is_found_by_id_label_and_connector(text):
    assert CATALOGUE.resolve(text) == SHOPIFY


def test_a_connector_of_several_integrations_is_ambiguous():
    with pytest.raises(AmbiguousIntegration) as refused:
        CATALOGUE.resolve("Magento")

    assert all(entry.integration_id in str(refused.value) for entry in (STORE, ORDERS))


def test_a_label_that_is_anothers_connector_is_ambiguous():
    catalogue = Catalogue((SHOPIFY, CatalogueEntry.of("d" * 24, "shopify", ["other"])))

    with pytest.raises(AmbiguousIntegration):
        catalogue.resolve("shopify")


def test_an_id_wins_over_anothers_label():
    catalogue = Catalogue((SHOPIFY, CatalogueEntry.of("d" * 24, "a" * 24, ["other"])))

    assert catalogue.resolve("a" * 24) == SHOPIFY


def test_an_unknown_integration_comes_with_what_was_meant():
    with pytest.raises(UnknownIntegration, match="did you mean Store sync"):
        CATALOGUE.resolve("Stor sync")


def test_an_unknown_integration_without_a_likeness_is_said_plainly():
    with pytest.raises(UnknownIntegration) as refused:
        CATALOGUE.resolve("zzz")

    assert refused.value.suggestions == ()


def test_an_app_that_was_not_read_is_none():
    assert CATALOGUE.app("magento") is None


def test_the_app_of_an_integration_is_the_first_one_known():
    assert CATALOGUE.app_of(STORE) == AppEntry("shipper", True, ())


def test_an_empty_database_has_an_empty_catalogue(engine: Engine):
    assert load(engine) == Catalogue()


def test_what_was_saved_is_loaded(engine: Engine):
    save_integrations(engine, [SHOPIFY, STORE, ORDERS], NOW)
    save_app(engine, AppEntry("shipper", True, ()), NOW)

    assert load(engine) == CATALOGUE


def test_saving_integrations_replaces_those_before(engine: Engine):
    save_integrations(engine, [SHOPIFY, STORE], NOW)
    renamed = CatalogueEntry.of(SHOPIFY.integration_id, "Renamed", ["shopify"])
    save_integrations(engine, [renamed], NOW)

    assert load(engine).entries == (renamed,)


def test_an_account_without_integrations_can_be_saved(engine: Engine):
    save_integrations(engine, [SHOPIFY], NOW)
    save_integrations(engine, [], NOW)

    assert load(engine).entries == ()


def test_saving_an_app_again_replaces_it(engine: Engine):
    save_app(engine, AppEntry("shopify", True, ()), NOW)
    save_app(engine, AppEntry("shopify", False, ("apiKey",)), NOW)

    assert load(engine).app("shopify") == AppEntry("shopify", False, ("apiKey",))


def test_what_was_learnt_about_a_host_is_kept(engine: Engine):
    save_capabilities(engine, "a", {"batch": True})
    save_capabilities(engine, "a", {"batch": False})

    assert load_capabilities(engine, "a") == {"batch": False}


def test_nothing_is_known_about_another_host(engine: Engine):
    save_capabilities(engine, "a", {"batch": True})

    assert load_capabilities(engine, "b") == {}
