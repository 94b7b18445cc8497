"""How Prefect is found, shared and waited for.

Prefect is configured the Prefect way. Only without ``PREFECT_API_URL`` do the commands on one ``.onboard/`` folder
run a server of their own, and then they share it: the first starts it, the others join it, the last one out ends it.

Nothing here imports Prefect when it is imported: that costs seconds, and ``onboard --help`` must not pay them.
"""

from deployments.prefect_server.process import PrefectUnavailable
from deployments.prefect_server.reachable import await_reachable
from deployments.prefect_server.recorded import Recorded, await_logged, await_recorded
from deployments.prefect_server.sharing import SharedServer, shared_prefect_server

__all__ = [
    "PrefectUnavailable",
    "Recorded",
    "SharedServer",
    "await_logged",
    "await_reachable",
    "await_recorded",
    "shared_prefect_server",
]
