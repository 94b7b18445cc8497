"""`python -m deployments.sandbox`."""

import typer

from deployments.sandbox.command import serve

if __name__ == "__main__":
    typer.run(serve)
