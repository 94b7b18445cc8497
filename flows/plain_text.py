"""Text that customers or lists brought, as text in markdown: nothing in it may become a link, a table or markup."""

import html
import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>])")


def as_plain_markdown(text: str) -> str:
    """Escape ``text`` so that markdown shows it as it is, on one line."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False).replace("&gt;", ">"))
