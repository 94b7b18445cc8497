"""How it is run: the ``onboard`` command, the deployments and their schedules, and the local Alloy.

May import everything below it, and nothing imports it but the tests. What the command imports at start is kept small,
so that it answers at once: Prefect and the HTTP libraries are imported where they are used.
"""
