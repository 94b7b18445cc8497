"""Proofs of "exactly once, whatever happens": what goes wrong is chosen and counted here, not waited for."""
