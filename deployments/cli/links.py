"""The consent links to send out, or new ones. What it prints is secret: whoever has a link can connect an account."""

import csv
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.cli.exits import ExitCode
from deployments.cli.opening import open_database, open_to_ask, read_settings, time_by
from deployments.cli.options import Batch, Json
from deployments.cli.report import print_json
from deployments.cli.wording import ago, command, count, printable, quoted

if TYPE_CHECKING:
    from flows.settings import Settings
    from store.consent_links import Link
    from store.vault import Vault


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
    from store.consent_links import links as read_links

    settings = read_settings()
    if renew:
        _renew(settings, renew)
    with open_to_ask(settings) as database:
        sealed = read_links(database, batch=batch)
    from store.vault import Vault  # cryptography takes a while to import, and a key may be made

    opened, lost = _open(sealed, Vault.open(settings.onboard_secret_key, settings.onboard_home))
    if as_json:
        print_json(opened)
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("username", "full_name", "integration", "issued_at", "link"))
        writer.writerows(row.values() for row in opened)
    elif opened or not lost:
        _print(opened)
    if lost:
        _say_which_are_lost(lost)
        raise typer.Exit(ExitCode.operator_needed)


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


def _print(opened: list[dict[str, str]]) -> None:
    if not opened:
        typer.echo("No consent link waits to be followed.")
        return
    for row in opened:
        issued = ago(datetime.fromisoformat(row["issued_at"]))
        typer.echo(f"{printable(row['username'])} · {printable(row['integration'])} · issued {issued} ago")
        typer.echo(f"  {printable(row['link'])}")
    typer.echo(f"\n{count(len(opened), 'link')}. When customers have consented: {command('resume')}", err=True)


def _say_which_are_lost(lost: "list[Link]") -> None:
    were = count(len(lost), "link was", "links were")
    typer.echo(
        f"{were} sealed with a key that ONBOARD_SECRET_KEY no longer holds: restore it, or have new ones issued, "
        f"for example: {command(f'links --renew {quoted(lost[0].username)}')}",
        err=True,
    )


def _renew(settings: "Settings", usernames: list[str]) -> None:
    from deployments.cli.act import operator
    from store.choosing import Chosen
    from store.desk import renew_links
    from store.finding import find_customer

    with open_database(settings) as engine:
        for username in usernames:
            find_customer(engine, username)
        for username in usernames:
            number = renew_links(engine, Chosen(username=username), by=operator(), now=time_by(engine))
            typer.echo(f"{printable(username)}: {count(number, 'link')} to be issued anew", err=True)
    typer.echo(f"the new links are issued by: {command('resume')}", err=True)
