"""The local Alloy: a sandbox that answers like the vendor, over a real socket.

The vendor offers no test environment, so this package is the far end of every test, demonstration and
benchmark. It owns a truth (`account`) that the tests can ask directly: what really happened, whatever the
client believes. It imports nothing else of this project, so that it cannot agree with the client by accident.
"""
