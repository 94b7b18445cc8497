"""The state machine as mermaid text, drawn from the table so that the picture cannot differ from the rules."""

from states.transitions import TRANSITIONS


def mermaid() -> str:
    """Return a ``stateDiagram-v2`` of every stage and trigger, one line each."""
    lines = ["stateDiagram-v2", f"    [*] --> {TRANSITIONS[0].source}"]
    lines += [f"    {row.source} --> {row.dest}: {row.trigger}" for row in TRANSITIONS]
    lines.append(f"    {TRANSITIONS[-1].dest} --> [*]")
    return "\n".join(lines)
