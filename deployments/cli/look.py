"""The verbs that read: the funnel, one customer's story, the consent links to send out."""

import csv
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli.opening import open_database, open_to_ask, read_settings
from deployments.cli.report import counts_object, folded, print_json, print_standing
from deployments.cli.wording import ago, ahead, command, count, printable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from store.views import Link, OnboardingStory, Story

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
            print_json(counts_object(standing, calls=standing.calls, seconds=standing.seconds))
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

        vault = Vault.open(settings.onboard_secret_key, settings.onboard_home)
        opened = [
            {
                "username": link.username,
                "full_name": link.full_name,
                "integration": link.integration,
                "issued_at": link.issued_at.isoformat(),
                "link": vault.open_value(link.sealed).get_secret_value(),
            }
            for link in sealed
        ]
    if as_json:
        print_json(opened)
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("username", "full_name", "integration", "issued_at", "link"))
        writer.writerows(row.values() for row in opened)
    else:
        _print_links(opened, sealed)


def _renew(engine: "Engine", usernames: list[str]) -> None:
    from datetime import UTC

    from deployments.cli.act import operator
    from store.desk import Chosen, renew_links
    from store.views import find_customer

    for username in usernames:
        find_customer(engine, username)
    for username in usernames:
        number = renew_links(engine, Chosen(username=username), by=operator(), now=datetime.now(UTC))
        typer.echo(f"{printable(username)}: {count(number, 'link')} to be issued anew", err=True)
    typer.echo(f"the new links are issued by: {command('resume')}", err=True)


def _print_links(opened: list[dict[str, str]], sealed: "list[Link]") -> None:
    if not opened:
        typer.echo("No consent link waits to be followed.")
        return
    for row, link in zip(opened, sealed, strict=True):
        typer.echo(f"{printable(row['username'])} · {printable(row['integration'])} · issued {ago(link.issued_at)} ago")
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
                "alloy_user_id": story.alloy_user_id,
                "credential_id": one.credential_id,
                "installation_id": one.installation_id,
                "link_issued_at": one.link_issued_at and one.link_issued_at.isoformat(),
                "history": [_plain(event) for event in one.history],
                "intents": [_plain(intent) for intent in one.intents],
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


def _print_next(one: "OnboardingStory") -> None:
    sentence = one.sentence or ("nothing: it is completed" if one.stage == "completed" else "it is moved on")
    for line in folded(f"next: {sentence}", 2):
        typer.echo(line)
    if one.due_at is not None:
        typer.echo(f"  looked at again {ahead(one.due_at)}: {command('resume')}")


VERBS: tuple[Callable[..., Any], ...] = (status, show, links)
