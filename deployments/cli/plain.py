"""Rows of the store as plain values, as ``--json`` shows them."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum


def plain(row: object) -> dict[str, object]:
    """Return a row by the names of its fields."""
    if not is_dataclass(row):
        raise TypeError(f"{type(row).__name__} is no row")
    return {field.name: _plain_value(getattr(row, field.name)) for field in fields(row)}


def _plain_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, StrEnum) else value
