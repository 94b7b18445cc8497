"""What moves those who stand still on: the command for one of them, and what has to be done for all of them."""

from shlex import quote

from flows.desk.markdown import code
from states.holds import REMEDIES, HoldKind, Reason
from store.figures.held import Held


def command_for(one: Held) -> str:
    """Return the command for one onboarding, as markdown. Never a consent link: the command shows it."""
    username = quote(one.username)
    if one.hold is HoldKind.retry:
        return code("onboard resume")
    if one.hold is HoldKind.cancelled:
        return code(f"onboard redrive --hold cancelled --username {username}")
    match one.reason:
        case Reason.awaiting_consent:
            return code(f"onboard links --renew {username}")
        case Reason.awaiting_answer | Reason.invalid_answer:
            names = one.fields or ("FIELD",)
            return code(f"onboard answer {username} {' '.join(f'{quote(name)}=VALUE' for name in names)}")
        case _:
            return code(f"onboard redrive --username {username}")


def remedy_for(hold: HoldKind, reason: Reason) -> str:
    """Return what has to be done for everybody who is held alike, as markdown of ours."""
    if hold is HoldKind.retry:
        return "nothing: it is tried again by itself; `onboard resume` does so at once"
    return REMEDIES.get(reason, f"`onboard redrive --reason {reason}`")


def without_remedy(one: Held) -> str:
    """Return why it stands still, without what has to be done, which is said beside it."""
    remedy = REMEDIES.get(one.reason)
    return one.sentence.removesuffix(f"; {remedy}") if remedy else one.sentence
