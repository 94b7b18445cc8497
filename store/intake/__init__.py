"""From checked rows to onboardings, idempotently: what is new, what may still change, and what is too late."""
