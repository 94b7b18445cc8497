"""What is said where there is no browser."""

import pytest

from tests.browser.chromium import BrowserMissing, chromium


def test_without_a_browser_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(BrowserMissing, match="apt-get install --no-install-recommends chromium"):
        chromium()
