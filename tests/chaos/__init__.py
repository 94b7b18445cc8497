"""Real workers on one database, killed and stopped at random until everybody is onboarded; then three books compared.

The list, our records and the local Alloy's own ledger must agree: nobody lost, nobody twice. A witness inside the
database, made of triggers that the workers do not know of, tells who wrote what while holding which lease.

    uv run python -m tests.chaos --customers 5000 --workers 4
"""
