"""What is allowed: stages, the transitions between them, holds, and the forms that customers answer.

Owns the rules of an onboarding and nothing else: no database, no network, no clock. Imports nothing of ours.
Invariant: a stage changes only by :func:`states.machine.fire`, along the table in :mod:`states.transitions`.
"""
