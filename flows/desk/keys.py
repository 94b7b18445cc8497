"""What the pages are called, and where they are found. Each keeps its key, so Prefect shows its history.

Keys may hold small letters, digits and dashes only, which names of batches and customers need not keep to: a short
digest keeps apart what looks alike without the other letters.
"""

import hashlib
import re

OVERVIEW = "onboarding-overview"
WAITING = "onboarding-waiting"

_READABLE = 40


def batch_key(name: str) -> str:
    """Return the key of a batch's page."""
    return f"batch-{_slug(name)}"


def progress_key(name: str) -> str:
    """Return the key of the progress of a batch."""
    return f"progress-{_slug(name)}"


def customer_key(username: str) -> str:
    """Return the key of a customer's story."""
    return f"customer-{_slug(username)}"


def address(key: str) -> str:
    """Return where a page is found on Prefect's server, from either of its two interfaces."""
    return f"/v2/artifacts/key/{key}"


def _slug(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower())[:_READABLE].strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{words}-{digest}" if words else digest
