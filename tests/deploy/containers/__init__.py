"""A container engine of its own, in its own network and mounts, and the images that
deploy/ and the chart name, made here: what tests/deploy/compose and tests/deploy/pods
share. Nothing of it is installed on this system, and nothing of it stays but a cache of
packages."""
