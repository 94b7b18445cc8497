"""The effect of each trigger: call, look up, adopt. Plain asynchronous functions that know nothing of Prefect.

A step is given an :class:`~flows.steps.attempt.Attempt` and returns the evidence with which its record moves, or
raises one of the four failures. Every step that changes something at Alloy does so through
:func:`flows.steps.rule.carry_out`.
"""
