"""Sealed values: auth values and consent links are encrypted before they reach a table, and opened only for use.

The first key seals and every key opens, so a key is changed by putting a new one in front. The fingerprint by which
equal auth values are recognised is made with the last key, and so outlives such a change.
"""

import hashlib
import hmac
import os
import re
import stat
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from store.private_folder import make_private

KEY_FILE = "secret.key"
LONGEST_VALUE = 100_000
_SETTING = "ONBOARD_SECRET_KEY"
_HOW = 'make one with: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?")


class VaultKeyError(ValueError):
    """There is no usable key; the text says which one and why, and never shows it."""


class SealedValueLost(Exception):
    """None of the keys opens the value: the key that sealed it is gone."""


class UnresolvedReference(ValueError):
    """An ``env:`` or ``file:`` reference leads nowhere on this machine; the text does not repeat it."""


class Vault:
    """Seals and opens with one or more keys."""

    __slots__ = ("_fernet", "_marking_key", "_name", "_newest")

    def __init__(self, keys: list[bytes]) -> None:
        self._newest = Fernet(keys[0])
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._marking_key = hashlib.blake2b(_raw(keys[-1]), digest_size=32, person=b"onboard-marks").digest()
        self._name = hashlib.blake2b(self._marking_key, digest_size=4, person=b"onboard-name").hexdigest()

    @classmethod
    def open(cls, key_setting: SecretStr | None, folder: Path) -> "Vault":
        """Open with the keys of the setting, or else with the key file in ``folder``, which is made if it is missing.

        Raises :class:`VaultKeyError`.
        """
        text = key_setting.get_secret_value().strip() if key_setting is not None else ""
        if text:
            return cls(_read_keys(text, _SETTING))
        file = folder / KEY_FILE
        return cls(_read_keys(_read_key_file(file), f"the key file {file}"))

    def seal(self, value: str) -> bytes:
        """Encrypt ``value``; the same value gives other bytes each time."""
        return self._fernet.encrypt(value.encode())

    def open_value(self, sealed: bytes) -> SecretStr:
        """Decrypt what :meth:`seal` gave. Raises :class:`SealedValueLost` if no key opens it."""
        try:
            return SecretStr(self._fernet.decrypt(sealed).decode())
        except InvalidToken:
            raise SealedValueLost(f"the value was sealed with a key that {_SETTING} no longer holds") from None

    def needs_older_key(self, sealed: bytes) -> bool:
        """Tell whether the key that seals now cannot open this: a key behind it is still needed, or lost."""
        try:
            self._newest.decrypt(sealed)
        except InvalidToken:
            return True
        return False

    def fingerprint(self, values: Mapping[str, str]) -> str:
        """Return a mark that is equal for equal values, in any order, and tells nothing else; "" for none."""
        if not values:
            return ""
        mark = hmac.new(self._marking_key, digestmod=hashlib.sha256)
        for name, value in sorted(values.items()):
            for part in (name.encode(), value.encode()):
                # With its length before it, or {"ab": "c"} and {"a": "bc"} would be one.
                mark.update(len(part).to_bytes(8, "big") + part)
        return f"{self._name}:{mark.hexdigest()[:40]}"

    def can_compare(self, fingerprint: str) -> bool:
        """Tell whether ``fingerprint`` was made with the key in use: else a difference means nothing."""
        return fingerprint == "" or fingerprint.startswith(f"{self._name}:")

    def __repr__(self) -> str:
        return "Vault(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a vault does not leave its process")


def resolve_reference(text: str) -> SecretStr:
    """Return what ``env:NAME`` or ``file:PATH`` refers to, without a trailing line end; any other text is itself.

    Raises :class:`UnresolvedReference`.
    """
    kind, _, target = text.partition(":")
    if kind == "env":
        value = os.environ.get(target, "")
        if not value:
            raise UnresolvedReference("the environment variable that it names is not set on this machine")
        return SecretStr(value)
    if kind == "file":
        return SecretStr(_read_reference(Path(target)))
    return SecretStr(text)


def is_reference(text: str) -> bool:
    """Tell whether a text refers to something of this machine, instead of being the value."""
    return text.startswith(("env:", "file:"))


def anchor_reference(text: str, folder: Path) -> str:
    """Return a ``file:`` reference with its path made absolute from ``folder``; any other text as it is."""
    if not text.startswith("file:"):
        return text
    return f"file:{(folder / Path(text.removeprefix('file:').strip())).absolute()}"


def _read_reference(path: Path) -> str:
    try:
        if not path.is_file():
            raise UnresolvedReference("the file that it names is not there on this machine")
        if path.stat().st_size > LONGEST_VALUE:
            raise UnresolvedReference(f"the file that it names is longer than {LONGEST_VALUE:,} characters")
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as fault:
        if isinstance(fault, UnresolvedReference):
            raise
        raise UnresolvedReference("the file that it names cannot be read as text on this machine") from None
    if not text:
        raise UnresolvedReference("the file that it names is empty")
    return text


def _raw(key: bytes) -> bytes:
    return b64decode(key, altchars=b"-_")


def _read_keys(text: str, where: str) -> list[bytes]:
    parts = [part.strip() for part in text.split(",")]
    for number, part in enumerate(parts, start=1):
        if not _KEY.fullmatch(part):
            which = f"key {number} of {len(parts)} in {where}" if len(parts) > 1 else f"the key in {where}"
            raise VaultKeyError(f"{which} is not 32 bytes of URL-safe base64; {_HOW}")
    return [part.rstrip("=").encode() + b"=" for part in parts]


def _read_key_file(file: Path) -> str:
    try:
        with suppress(FileNotFoundError):
            return _read_private(file)
        _make_key_file(file)
        return _read_private(file)
    except (OSError, UnicodeDecodeError) as fault:
        raise VaultKeyError(
            f"the key file {file} cannot be used ({type(fault).__name__}): mend that, or set {_SETTING}"
        ) from None


def _read_private(file: Path) -> str:
    with file.open(encoding="ascii") as opened:
        if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
            raise VaultKeyError(f"the key file {file} can be read by others: chmod 600 {file}")
        return opened.read(4096).strip()


def _make_key_file(file: Path) -> None:
    make_private(file.parent)
    # Written whole under another name, then linked: of two processes one wins, and nobody ever reads half a key.
    draft = file.with_name(f".{file.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(Fernet.generate_key() + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()
