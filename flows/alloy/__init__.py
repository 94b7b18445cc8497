"""The Alloy client: what we say to Alloy Automation, what its answers mean, and what a failed call may have done.

Owns the HTTP contract (routes, dialects, tolerant answers, the error table) and nothing of the onboarding itself.
May import ``states``, :mod:`flows.pacing` and :mod:`store.retries`. Invariants: :mod:`flows.alloy.transport` alone
imports an HTTP library, a call that may have changed something is never sent again on its own, and no auth value stands
in any error text.
"""
