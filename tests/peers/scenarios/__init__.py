"""What is tried: each module has scenarios, functions that take the world.

Those of `selftest` try the peers themselves and need no Postrider."""

from . import bounces, delivery, faults, relays, selftest, throughput

SELFTEST = selftest.SCENARIOS
PRODUCT = [*delivery.SCENARIOS, *bounces.SCENARIOS, *faults.SCENARIOS,
           *relays.SCENARIOS]
# Run only where they are named.
MEASUREMENTS = throughput.SCENARIOS
