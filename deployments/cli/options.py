"""The options that several of the reading verbs have."""

from typing import Annotated

import typer

Batch = Annotated[str | None, typer.Option("--batch", help="Only this batch.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on standard output, and nothing else there.")]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        "-w",
        help="Look again every two seconds, until everybody is completed or cancelled or Ctrl-C ends it, with the exit "
        "code of the last look. With --json: one object a line.",
    ),
]
Every = Annotated[
    float | None,
    typer.Option("--every", metavar="SECONDS", min=0.1, help="Look again every so many seconds, as --watch does."),
]
