"""The compose file for several workers, as tests read it."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "deployments"
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
COMPOSED: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSED["services"]


def filled_in(value: str, given: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a value as compose would fill it in; a required variable that is not ``given`` is a word."""
    return re.sub(
        r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}",
        lambda found: given.get(found[1], found[3] if found[2] == "-" else "word"),
        str(value),
    )
