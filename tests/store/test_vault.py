import pickle
import stat
import subprocess
import sys
from base64 import urlsafe_b64encode

import pytest
from pydantic import SecretStr

from store.vault import (
    KEY_FILE,
    SealedValueLost,
    UnresolvedReference,
    Vault,
    VaultKeyError,
    anchor_reference,
    resolve_reference,
)

OLD, NEW = (urlsafe_b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def vault(*keys: str, folder=None) -> Vault:
    return Vault.open(SecretStr(",".join(keys)), folder)


def test_what_was_sealed_can_be_opened():
    opened = vault(OLD).open_value(vault(OLD).seal("välue"))

    assert opened.get_secret_value() == "välue"


def test_the_same_value_is_sealed_differently_each_time():
    assert vault(OLD).seal("value") != vault(OLD).seal("value")


def test_every_key_opens():
    assert vault(NEW, OLD).open_value(vault(OLD).seal("value")).get_secret_value() == "value"


def test_the_first_key_seals():
    assert vault(NEW).open_value(vault(NEW, OLD).seal("value")).get_secret_value() == "value"


def test_a_value_whose_key_is_gone_is_lost():
    with pytest.raises(SealedValueLost):
        vault(NEW).open_value(vault(OLD).seal("value"))


def test_a_value_that_was_tampered_with_is_lost():
    with pytest.raises(SealedValueLost):
        vault(OLD).open_value(b"nonsense")


def test_a_key_may_stand_there_without_its_padding():
    assert vault(OLD.rstrip("=")).open_value(vault(OLD).seal("value")).get_secret_value() == "value"


@pytest.mark.parametrize("keys", ["canary", f"{OLD},canary", f"{OLD},", OLD[:-4], f"{OLD}canary"])
def test_a_malformed_key_is_refused_without_showing_it(keys):
    with pytest.raises(VaultKeyError) as refused:
        vault(keys)

    assert "canary" not in str(refused.value)
    assert OLD[:8] not in str(refused.value)


def test_a_malformed_key_among_several_is_named_by_its_place():
    with pytest.raises(VaultKeyError, match="key 2 of 3"):
        vault(OLD, "x", NEW)


def test_without_a_setting_a_key_is_made_and_kept(tmp_path):
    sealed = Vault.open(None, tmp_path / "new").seal("value")

    assert Vault.open(None, tmp_path / "new").open_value(sealed).get_secret_value() == "value"


def test_a_blank_setting_is_none(tmp_path):
    Vault.open(SecretStr(" "), tmp_path)

    assert (tmp_path / KEY_FILE).exists()


def test_the_key_file_is_for_its_owner_only(tmp_path):
    Vault.open(None, tmp_path)

    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_making_a_key_leaves_nothing_else_behind(tmp_path):
    Vault.open(None, tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    Vault.open(None, tmp_path)
    (tmp_path / KEY_FILE).chmod(0o640)

    with pytest.raises(VaultKeyError, match="chmod 600"):
        Vault.open(None, tmp_path)


@pytest.mark.parametrize("content", [b"", b"canary", b"\xff\xfe"])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path, content):
    (tmp_path / KEY_FILE).write_bytes(content)
    (tmp_path / KEY_FILE).chmod(0o600)

    with pytest.raises(VaultKeyError) as refused:
        Vault.open(None, tmp_path)

    assert "canary" not in str(refused.value)


def test_a_key_file_that_cannot_be_made_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(VaultKeyError, match="ONBOARD_SECRET_KEY"):
        Vault.open(None, tmp_path / "file")


def test_processes_that_start_at_once_get_the_same_key(tmp_path):
    script = (
        "import sys; from pathlib import Path; from store.vault import Vault;"
        "print(Vault.open(None, Path(sys.argv[1])).fingerprint({'a': 'b'}))"
    )
    starting = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]

    assert len({process.communicate()[0] for process in starting}) == 1


def test_equal_values_have_one_fingerprint_in_any_order():
    assert vault(OLD).fingerprint({"a": "1", "b": "2"}) == vault(OLD).fingerprint({"b": "2", "a": "1"})


@pytest.mark.parametrize("other", [{"a": "2"}, {"b": "1"}, {"a1": ""}, {"a": "1", "b": ""}])
def test_different_values_have_different_fingerprints(other):
    assert vault(OLD).fingerprint({"a": "1"}) != vault(OLD).fingerprint(other)


def test_no_values_have_no_fingerprint():
    assert vault(OLD).fingerprint({}) == ""


def test_a_fingerprint_outlives_a_new_key_in_front():
    assert vault(NEW, OLD).fingerprint({"a": "1"}) == vault(OLD).fingerprint({"a": "1"})


def test_a_fingerprint_depends_on_the_key():
    assert vault(NEW).fingerprint({"a": "1"}) != vault(OLD).fingerprint({"a": "1"})


def test_a_fingerprint_of_another_key_cannot_be_compared():
    assert not vault(NEW).can_compare(vault(OLD).fingerprint({"a": "1"}))


def test_a_fingerprint_of_the_same_key_can_be_compared():
    assert vault(NEW, OLD).can_compare(vault(OLD).fingerprint({"a": "1"}))


def test_a_vault_shows_no_key():
    assert repr(vault(OLD)) == "Vault(…)"


def test_a_vault_cannot_be_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(vault(OLD))


def test_a_plain_value_refers_to_itself():
    assert resolve_reference("https://value").get_secret_value() == "https://value"


def test_a_variable_is_referred_to_by_its_name(monkeypatch):
    monkeypatch.setenv("ONBOARD_TEST_VALUE", "canary")

    assert resolve_reference("env:ONBOARD_TEST_VALUE").get_secret_value() == "canary"


def test_a_file_is_referred_to_by_its_path(tmp_path):
    (tmp_path / "value").write_text("canary\n")

    assert resolve_reference(f"file:{tmp_path / 'value'}").get_secret_value() == "canary"


@pytest.mark.parametrize(
    "text", ["env:ONBOARD_CANARY", "env:", "file:", "file:/nowhere/canary", "file:/tmp", "file:\0"]
)
def test_a_reference_that_leads_nowhere_is_refused_without_repeating_it(text):
    with pytest.raises(UnresolvedReference) as refused:
        resolve_reference(text)

    assert "canary" not in str(refused.value).lower()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 100_001])
def test_a_file_that_holds_no_value_is_refused(tmp_path, content):
    (tmp_path / "value").write_bytes(content)

    with pytest.raises(UnresolvedReference):
        resolve_reference(f"file:{tmp_path / 'value'}")


def test_a_relative_path_is_anchored_and_an_absolute_one_kept(tmp_path):
    anchored = [anchor_reference(text, tmp_path) for text in ("file:a", "file:/b", "env:C", "d")]

    assert anchored == [f"file:{tmp_path / 'a'}", "file:/b", "env:C", "d"]
