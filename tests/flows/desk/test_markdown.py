"""What customers and lists supply stays text, wherever it is put."""

import re

import pytest

from flows.desk.drawing import label
from flows.desk.keys import batch_key, customer_key
from flows.desk.markdown import LONGEST, code, text

HOSTILE = (
    "a|b",
    "a\\|b",
    "`code`",
    "[click](https://evil.test)",
    "![x](x)",
    "<script>alert(1)</script>",
    "**bold** _it_ ~~gone~~",
    "# head\n- list\r\n> quote",
    "&lt;b&gt;",
    '"; end',
    "\x1b[31mred\u202e",
)


@pytest.mark.parametrize("words", HOSTILE)
def test_text_of_others_holds_nothing_that_marks_up(words: str) -> None:
    without_references = re.sub(r"&#\d+;", "", text(words))

    assert not set(without_references) & set('|\\`[]()<>*_~#!&"\n\r\x1b\u202e')


@pytest.mark.parametrize("words", ["https://evil.test/x", "WWW.evil.test"])
def test_an_address_of_others_becomes_no_link(words: str) -> None:
    assert not re.search(r"://|www\.", text(words), re.IGNORECASE)


def test_a_username_that_is_an_e_mail_can_be_read_and_copied() -> None:
    assert text("ann.smith+1@example.test") == "ann.smith+1@example.test"


def test_a_long_text_is_cut() -> None:
    assert text("x" * 10_000) == "x" * LONGEST + "…"


@pytest.mark.parametrize("words", ["`", "a|b", "a\\", "two\nlines"])
def test_what_could_end_a_piece_of_code_is_shown_as_text(words: str) -> None:
    shown = code(f"onboard show {words}")

    assert not set(re.sub(r"&#\d+;", "", shown)) & set("`|\\\n")


@pytest.mark.parametrize("words", HOSTILE)
def test_a_label_in_a_drawing_holds_nothing_that_draws(words: str) -> None:
    assert re.fullmatch(r"[\w .@+-]+", label(words))


@pytest.mark.parametrize("name", ["Spring List", "spring-list", "SPRING LIST", "spring/list", "ü", "", "x" * 500])
def test_a_key_is_what_prefect_takes_and_no_two_names_share_one(name: str) -> None:
    others = {batch_key(other) for other in ("Spring list", "ö", "x" * 501)}

    assert re.fullmatch(r"[a-z0-9-]{1,100}", batch_key(name))
    assert batch_key(name) not in others
    assert customer_key(name) != batch_key(name)
