"""The tables' history: one file a change, applied in the order of the number that its name begins with.

Shipped in the wheel and applied by :func:`store.engine.migrate`. To add one:
``alembic revision --autogenerate --rev-id 0002 -m "what changes"``, then read it.
"""
