"""What may be left behind at Alloy, call by call, and why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from deployments.cli.opening import open_to_ask
from deployments.cli.options import Batch, Json
from deployments.cli.plain import plain
from deployments.cli.report import print_json
from deployments.cli.terminal import folded, styled
from deployments.cli.wording import count, printable

if TYPE_CHECKING:
    from store.leftovers import Leftover

_WHY = {
    None: "no answer came, and nobody looks for it since the onboarding was cancelled; to have it looked up, and the "
    "onboarding go on: `onboard redrive --hold cancelled`",
    "leftover": "no answer came, and what the call did could not be found at Alloy: it was made again",
    "late": "the answer came too late: another worker had taken the record over",
}
"""By outcome of the call."""


def leftovers(batch: Batch = None, as_json: Json = False) -> None:
    """List what may be left behind at Alloy.

    Calls whose answer was lost, and whose effect could not be found again or is not used. It does no harm, and nothing
    at Alloy is ever deleted: look it up there, if you like.
    """
    from store.leftovers import leftovers as read_leftovers

    with open_to_ask() as database:
        found = read_leftovers(database, batch=batch)
    if as_json:
        print_json([{**plain(one), "why": _why(one)} for one in found])
        return
    for one in found:
        for line in _lines(one):
            typer.echo(line)
    typer.echo(f"{count(len(found), 'suspected leftover')} at Alloy, which does no harm." if found else _NONE)


_NONE = "Nothing is suspected to be left behind at Alloy."


def _why(one: "Leftover") -> str:
    if one.outcome == "leftover" and one.evidence:
        return "the answer came too late: the call had been given up by then"
    return _WHY[one.outcome]


def _lines(one: "Leftover") -> Iterator[str]:
    where = f"{printable(one.username)} · {printable(one.integration)} · batch {printable(one.batch)}"
    yield styled(where, bold=True)
    yield f"  {one.trigger} of {one.called_at:%Y-%m-%d %H:%M:%S} UTC"
    yield from folded(_why(one), 2)
    for title, value in (
        ("user at Alloy", one.alloy_user_id),
        ("integration at Alloy", one.integration_id),
        ("the credential in use", one.credential_id),
        ("the installation in use", one.installation_id),
        *(("the late answer's " + name, value) for name, value in (one.evidence or {}).items() if name.endswith("_id")),
    ):
        if value:
            yield f"  {title}: {printable(str(value))}"
    yield ""
