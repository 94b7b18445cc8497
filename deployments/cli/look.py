"""The verbs that read: the funnel, one customer's story, the consent links to send out, what may be left behind."""

import csv
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.exits import ExitCode
from deployments.cli.half_in import remedies
from deployments.cli.opening import open_database, open_to_ask, read_settings, time_by
from deployments.cli.report import (
    counts_object,
    failed_so_often,
    folded,
    paces_object,
    print_json,
    print_standing,
    quoted,
)
from deployments.cli.wording import ago, ahead, command, count, printable
from states.holds import HoldKind

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.vault import Vault
    from store.views import Leftover, Link, OnboardingStory, Story

Batch = Annotated[str | None, typer.Option("--batch", help="Only this batch.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on standard output, and nothing else there.")]


def status(batch: Batch = None, as_json: Json = False) -> None:
    """Show where everybody stands.

    The funnel, who waits for what, and the commands that move them on.
    """
    from store.standing import standing as read_standing

    with open_to_ask() as database:
        standing = read_standing(database, batch)
        if as_json:
            counts = counts_object(standing, calls=standing.calls, seconds=standing.seconds)
            print_json({**counts, **paces_object(standing)})
        else:
            print_standing(database, standing, calls=standing.calls, seconds=standing.seconds)


def show(
    username: Annotated[str, typer.Argument(help="The customer.")],
    as_json: Json = False,
) -> None:
    """Show one customer's whole story.

    Every stage, hold and call that is not certain, and what comes next.
    """
    from store.views import story as read_story

    with open_database() as engine:
        story = read_story(engine, username)
    if as_json:
        print_json(_story_object(story))
        return
    name = f" ({printable(story.full_name)})" if story.full_name else ""
    typer.echo(typer.style(f"{printable(story.username)}{name}", bold=True))
    typer.echo(f"  user at Alloy: {story.alloy_user_id or 'none yet'}")
    for onboarding in story.onboardings:
        _print_onboarding(onboarding)


def links(
    batch: Batch = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, to send the links out by mail merge.")] = False,
    renew: Annotated[
        list[str] | None, typer.Option("--renew", metavar="USERNAME", help="Have a new link issued; repeatable.")
    ] = None,
) -> None:
    """Print the consent links to send out.

    Whoever opens a link connects an account to that customer: keep them private.
    """
    from store.views import links as read_links

    settings = read_settings()
    with open_database(settings) as engine:
        if renew:
            _renew(engine, renew)
        sealed = read_links(engine, batch=batch)
        from store.vault import Vault  # cryptography takes a while to import, and a key may be made

        opened, lost = _open(sealed, Vault.open(settings.onboard_secret_key, settings.onboard_home))
    if as_json:
        print_json(opened)
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("username", "full_name", "integration", "issued_at", "link"))
        writer.writerows(row.values() for row in opened)
    elif opened or not lost:
        _print_links(opened)
    if lost:
        _say_which_are_lost(lost)
        raise typer.Exit(ExitCode.operator_needed)


def leftovers(batch: Batch = None, as_json: Json = False) -> None:
    """List what may be left behind at Alloy.

    Calls whose answer was lost, and whose effect could not be found again or is not used. It does no harm, and nothing
    at Alloy is ever deleted: look it up there, if you like.
    """
    from store.views import leftovers as read_leftovers

    with open_database() as engine:
        found = read_leftovers(engine, batch=batch)
    if as_json:
        print_json([{**_plain(one), "why": _why_left(one)} for one in found])
        return
    for one in found:
        _print_leftover(one)
    typer.echo(f"{count(len(found), 'suspected leftover')} at Alloy, which does no harm.")


_WHY_LEFT = {
    None: "no answer came, and nobody looks for it since the onboarding was cancelled; to have it looked up, and the "
    "onboarding go on: `onboard redrive --hold cancelled`",
    "leftover": "no answer came, and what the call did could not be found at Alloy: it was made again",
    "late": "the answer came too late: another worker had taken the record over",
}
"""By outcome of the call."""


def _why_left(one: "Leftover") -> str:
    if one.outcome == "leftover" and one.evidence:
        return "the answer came too late: the call had been given up by then"
    return _WHY_LEFT[one.outcome]


def _print_leftover(one: "Leftover") -> None:
    typer.echo(f"{printable(one.username)} · {printable(one.integration)} · batch {printable(one.batch)}")
    typer.echo(f"  {one.trigger} of {one.called_at:%Y-%m-%d %H:%M:%S} UTC")
    for line in folded(_why_left(one), 2):
        typer.echo(line)
    for title, value in (
        ("user at Alloy", one.alloy_user_id),
        ("integration at Alloy", one.integration_id),
        ("the credential in use", one.credential_id),
        ("the installation in use", one.installation_id),
        *(("the late answer's " + name, value) for name, value in (one.evidence or {}).items() if name.endswith("_id")),
    ):
        if value:
            typer.echo(f"  {title}: {printable(str(value))}")


def _open(sealed: "list[Link]", vault: "Vault") -> tuple[list[dict[str, str]], list["Link"]]:
    """Return the links that the vault opens, and those that were sealed with a key that it no longer has."""
    from store.vault import SealedValueLost

    opened: list[dict[str, str]] = []
    lost: list[Link] = []
    for link in sealed:
        try:
            address = vault.open_value(link.sealed).get_secret_value()
        except SealedValueLost:
            lost.append(link)
            continue
        opened.append(
            {
                "username": link.username,
                "full_name": link.full_name,
                "integration": link.integration,
                "issued_at": link.issued_at.isoformat(),
                "link": address,
            }
        )
    return opened, lost


def _say_which_are_lost(lost: "list[Link]") -> None:
    were = count(len(lost), "link was", "links were")
    typer.echo(
        f"{were} sealed with a key that ONBOARD_SECRET_KEY no longer holds: restore it, or have new ones issued, "
        f"for example: {command(f'links --renew {printable(lost[0].username)}')}",
        err=True,
    )


def _renew(engine: "Engine", usernames: list[str]) -> None:
    from deployments.cli.act import operator
    from store.choosing import Chosen
    from store.desk import renew_links
    from store.views import find_customer

    for username in usernames:
        find_customer(engine, username)
    for username in usernames:
        number = renew_links(engine, Chosen(username=username), by=operator(), now=time_by(engine))
        typer.echo(f"{printable(username)}: {count(number, 'link')} to be issued anew", err=True)
    typer.echo(f"the new links are issued by: {command('resume')}", err=True)


def _print_links(opened: list[dict[str, str]]) -> None:
    if not opened:
        typer.echo("No consent link waits to be followed.")
        return
    for row in opened:
        issued = ago(datetime.fromisoformat(row["issued_at"]))
        typer.echo(f"{printable(row['username'])} · {printable(row['integration'])} · issued {issued} ago")
        typer.echo(f"  {printable(row['link'])}")
    typer.echo(f"\n{count(len(opened), 'link')}. When customers have consented: {command('resume')}", err=True)


def _story_object(story: "Story") -> dict[str, object]:
    return {
        "username": story.username,
        "full_name": story.full_name,
        "onboardings": [
            {
                "integration": one.integration,
                "stage": one.stage.value,
                "hold": one.hold and one.hold.value,
                "reason": one.reason and one.reason.value,
                "due_at": one.due_at and one.due_at.isoformat(),
                "attempts": one.attempts,
                "alloy_user_id": story.alloy_user_id,
                "credential_id": one.credential_id,
                "installation_id": one.installation_id,
                "link_issued_at": one.link_issued_at and one.link_issued_at.isoformat(),
                "history": [_plain(event) for event in one.history],
                "intents": [_plain(intent) for intent in one.intents],
                **({"held_back": why} if (why := _held_back(one)) else {}),
            }
            for one in story.onboardings
        ],
    }


def _plain(row: object) -> dict[str, object]:
    if not is_dataclass(row):
        raise TypeError(f"{type(row).__name__} is no row")
    return {field.name: _plain_value(getattr(row, field.name)) for field in fields(row)}


def _plain_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, StrEnum) else value


def _print_onboarding(one: "OnboardingStory") -> None:
    typer.echo("")
    typer.echo(typer.style(f"{printable(one.integration)} · batch {printable(one.batch)} · {one.stage}", bold=True))
    for title, value in (
        ("integration", one.integration_id),
        ("credential", one.credential_id),
        ("installation", one.installation_id),
        ("consent link issued", one.link_issued_at and f"{ago(one.link_issued_at)} ago"),
        ("read back at Alloy", one.verified_at and f"{ago(one.verified_at)} ago"),
        ("in the hands of", one.leased_by),
    ):
        if value:
            typer.echo(f"  {title}: {value}")
    typer.echo("  history, in UTC")
    for event in one.history:
        what = event.trigger or (f"held for {event.hold}: {event.reason}" if event.hold else "note")
        typer.echo(f"    {event.at:%Y-%m-%d %H:%M:%S}  {event.stage:<10} {what}")
        for line in folded(event.sentence, 6):
            typer.echo(line)
    for intent in one.intents:
        if intent.outcome != "answered":
            typer.echo(f"  call of {intent.opened_at:%Y-%m-%d %H:%M:%S} ({intent.trigger}): {intent.outcome or 'open'}")
    _print_next(one)


def _held_back(one: "OnboardingStory") -> str:
    """Say what holds it back, if it is neither itself nor its customer."""
    if one.unfinished is not None:
        commands = " or ".join(f"`onboard {remedy}`" for remedy in remedies(one.unfinished))
        return f"its list is only half in, and nobody works on it until the rest is: {commands}"
    if one.paused is not None:
        return f"its batch is paused, since {one.paused.why}; to go on: `onboard resume --batch {quoted(one.batch)}`"
    if one.quarantined is not None:
        why = f"most of the last ones of {one.quarantined.label} at {one.stage} were refused ({one.quarantined.reason})"
        return f"held back, since {why}; a few are tried {ahead(one.quarantined.probe_at)}"
    return ""


def _print_next(one: "OnboardingStory") -> None:
    sentence = one.sentence or ("nothing: it is completed" if one.stage == "completed" else "it is moved on")
    for line in folded(f"next: {_held_back(one) or sentence}", 2):
        typer.echo(line)
    if one.hold == HoldKind.retry:
        typer.echo(f"  {failed_so_often(one.attempts)}")
    if one.due_at is not None:
        typer.echo(f"  looked at again {ahead(one.due_at)}: {command('resume')}")


VERBS: tuple[Callable[..., Any], ...] = (status, show, links, leftovers)
