"""The demo's home: who may look into it."""

import os
import stat

import pytest

from deployments.cli.demo_home import fresh_home


@pytest.mark.usefixtures("home")
def test_the_demo_and_the_home_around_it_are_for_their_owner_alone():
    before = os.umask(0)
    try:
        with fresh_home() as demo:
            modes = [oct(stat.S_IMODE(folder.stat().st_mode)) for folder in (demo, demo.parent)]
    finally:
        os.umask(before)
    assert modes == ["0o700", "0o700"]
