"""What carries database work out again, and says nothing about it.

By default stamina logs every retry as a warning, with the arguments of the call in the record: usernames, answers,
whatever the work was given. A log is no place for them, and a database that is away for a moment is no news; what does
not pass comes through as an error. The hooks are the process's, so this holds for every other use of stamina too.
"""

from stamina import Attempt, retry, retry_context
from stamina.instrumentation import set_on_retry_hooks

__all__ = ["Attempt", "retry", "retry_context"]

set_on_retry_hooks([])
