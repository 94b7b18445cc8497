"""The seeded simulation: several workers, Alloy, operators and customers in one thread, under a clock of its own.

One seed decides everything that happens: who is killed or frozen when, which call fails how, what the vendor does
where its documents are silent, in which order things happen that happen at once. So a seed that fails is replayed
exactly, with ``uv run python -m tests.simulation --seed N``.

What is simulated is only the outside: time, the network, threads, people and bad luck. The loop, the steps, the
recorder, the client, the store with its SQLite file, and the local Alloy behind its socket are the real ones.
"""
