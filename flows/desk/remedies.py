"""What moves those who stand still on: the command for one of them, and what has to be done for all of them."""

from shlex import quote

from flows.desk.forms import Forms
from flows.desk.markdown import code
from states.holds import REMEDIES, HoldKind, Reason
from store.figures.held import Held

_LIST_AGAIN = frozenset(
    {
        Reason.rejected,
        Reason.unknown_integration,
        Reason.ambiguous_integration,
        Reason.missing_auth,
        Reason.sealed_value_lost,
    }
)
"""Reasons for which the list is to be run again, once it was corrected."""


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


def forms_for(
    forms: Forms, hold: HoldKind, reason: Reason, *, batch: str = "", username: str = "", before: str = "forms: "
) -> str:
    """Return links to the forms that move those on who are held alike, filled in with that; nothing without any.

    Of all of them, of those of one ``batch``, or for one customer.
    """
    where = {"batch": batch, "username": username}
    alike = {"reason": reason.value, **where}
    of_batch = {"batch": batch}
    wanted: list[tuple[str, dict[str, str]]]
    if hold is HoldKind.retry:
        wanted = [("every-five-minutes", of_batch)]
    elif hold is HoldKind.cancelled:
        wanted = [("redrive", {"hold": hold.value, **where})]
    elif reason is Reason.awaiting_consent:
        wanted = [("renew-links", where), ("cancel", alike)]
    elif reason in (Reason.awaiting_answer, Reason.invalid_answer):
        wanted = [("answer", where), ("review", of_batch), ("cancel", alike)]
    else:
        again = [("from-a-list", of_batch)] if reason in _LIST_AGAIN else []
        wanted = [*again, ("redrive", alike), ("review", of_batch), ("cancel", alike)]
    return forms.links(*wanted, before=before)


def without_remedy(one: Held) -> str:
    """Return why it stands still, without what has to be done, which is said beside it."""
    remedy = REMEDIES.get(one.reason)
    return one.sentence.removesuffix(f"; {remedy}") if remedy else one.sentence
