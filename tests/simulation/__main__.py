"""``python -m tests.simulation --seeds 10000`` plays many seeds, ``--seed 4711`` shows every event of one."""

import argparse
import os
import sys
import time

from tests.simulation.many import Sum, account, simulate_many, table
from tests.simulation.simulation import simulate


def main() -> int:
    """Play what the arguments say; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seeds", type=int, help="how many")
    which.add_argument("--seed", type=int, help="this one, event by event")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return _show(chosen.seed)
    began, total = time.monotonic(), Sum()
    for outcome in simulate_many(range(chosen.first, chosen.first + chosen.seeds), chosen.jobs):
        total.add(outcome)
        if outcome.broken:
            print(account(outcome), end="\n\n", flush=True)
        if total.seeds % 500 == 0:
            print(f"{total.seeds:,} seeds, {len(total.broken)} broken", file=sys.stderr, flush=True)
    print(table(total, time.monotonic() - began))
    if total.broken:
        print(f"\nbroken: {len(total.broken)}, the seeds {' '.join(str(one.seed) for one in total.broken)}")
    return 1 if total.broken else 0


def _show(seed: int) -> int:
    outcome = simulate(seed, print)
    print(f"path {outcome.digest}: {outcome.completed} of {outcome.onboardings} completed, {outcome.calls} calls")
    if outcome.broken:
        print(account(outcome))
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    sys.exit(main())
