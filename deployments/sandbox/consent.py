"""The OAuth link and the page behind it: what the third party's consent screen would be (alloy-api.md 14.4).

The page is the one place where a stranger's input becomes HTML, so every value is escaped, nothing is loaded from
anywhere, no script runs, and a decision needs a nonce that was on the page.
"""

import secrets
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urlsplit

from deployments.sandbox.call import Answer, Call
from deployments.sandbox.catalogue import App, Catalogue
from deployments.sandbox.consent_desk import ConsentDesk, Question
from deployments.sandbox.knobs import Knobs
from deployments.sandbox.refusal import Refused

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 28rem; margin: 4rem auto; padding: 0 1rem; }
form { display: inline; } button { font: inherit; padding: .4rem 1.2rem; margin-right: .5rem; }
dt { color: #666; } dd { margin: 0 0 .6rem; }
"""


@dataclass(frozen=True, kw_only=True)
class Page:
    """HTML with the headers that make it safe to show, or a redirect."""

    status: int
    html: str
    headers: dict[str, str]


def oauth_url(call: Call) -> Answer:
    """Return the link at which a user consents; no business state changes."""
    user = call.user(call.asked("userId"))
    app = call.app(call.asked("app"))
    if not app.is_oauth:
        raise Refused(400, f"{app.connector} does not use OAuth")
    properties = _properties(app, call.query)
    unknown = call.query.keys() - properties.keys() - {"userId", "app"}
    for name in sorted(unknown):
        if call.knobs.reject_unknown:
            raise Refused(400, f"Unknown parameter: {name}")
        call.warnings.append(f"unknown parameter {name}")
    link = call.desk.issue(user, app, properties, call.knobs)
    bare = call.knobs.dialect_fields == "2025-09"
    return {"oauthUrl": link} if bare else {"data": {"oauthUrl": link}}


def consent_page(
    desk: ConsentDesk, catalogue: Catalogue, knobs: Knobs, *, app_name: str, query: dict[str, str]
) -> Page:
    """Return the page that shows app, user and scopes and asks for a decision."""
    try:
        app = _oauth_app(catalogue, app_name)
        properties = _properties(app, query)
        question = Question.about(query.get("userId", ""), app, properties)
        grant, deny = desk.open_page(question, knobs)
    except Refused as refused:
        return _plain_page(refused.status, "This link does not work", refused.message or "")
    facts = {"User": question.user_id, **properties, "Permissions": ", ".join(app.scopes) or "all"}
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    body = f"<dl>{rows}</dl>" + _form(app, "Grant", grant) + _form(app, "Deny", deny)
    return _page(200, f"Connect {app.label}", body, _origin(knobs.post_oauth_redirect))


def decision_page(
    desk: ConsentDesk, catalogue: Catalogue, knobs: Knobs, *, app_name: str, form: dict[str, str]
) -> Page:
    """Take the decision of a form, once, and say so."""
    try:
        app = _oauth_app(catalogue, app_name)
        granted = desk.press(form.get("nonce", ""), app.connector, knobs)
    except Refused as refused:
        return _plain_page(refused.status, "Nothing was changed", refused.message or "")
    if knobs.post_oauth_redirect is not None:
        return Page(status=303, html="", headers={"Location": knobs.post_oauth_redirect})
    if granted:
        return _plain_page(200, "Connected", f"{app.label} is connected. You may close this page.")
    return _plain_page(200, "Declined", f"{app.label} was not connected. You may close this page.")


def _oauth_app(catalogue: Catalogue, name: str) -> App:
    app = catalogue.app(name)
    if app is None:
        raise Refused(404, "Unknown app")
    if not app.is_oauth:
        raise Refused(400, f"{app.label} does not use OAuth")
    return app


def _properties(app: App, query: dict[str, str]) -> dict[str, str]:
    """Return the app's properties from a query, or refuse: one is missing."""
    for wanted in app.properties:
        if not query.get(wanted.name):
            raise Refused(400, f"{wanted.name} is required")
    return {wanted.name: query[wanted.name] for wanted in app.properties}


def _form(app: App, label: str, nonce: str) -> str:
    action = escape(f"/api/strategy/{quote(app.connector)}/authorize")
    hidden = f'<input type="hidden" name="nonce" value="{escape(nonce)}">'
    return f'<form method="post" action="{action}">{hidden}<button type="submit">{label}</button></form>'


def _origin(url: str | None) -> str | None:
    """Return where a redirect leads: browsers hold form-action against the redirect after a form, too."""
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _plain_page(status: int, title: str, sentence: str) -> Page:
    return _page(status, title, f"<p>{escape(sentence)}</p>")


def _page(status: int, title: str, body: str, form_target: str | None = None) -> Page:
    nonce = secrets.token_urlsafe(12)
    targets = " ".join(filter(None, ["'self'", form_target]))
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><style nonce="{nonce}">{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    return Page(status=status, html=html, headers=headers)
