"""What it does: the Prefect flows and tasks, the steps that call Alloy, and the Alloy client.

May import ``store`` and ``states``. The flows are asynchronous and the store is not; they meet where a page is
claimed and where a group of writes is recorded, each one call into a worker thread. Invariant: no transaction is open
while Alloy is called, and no call that changes something is sent without an intent.
"""
