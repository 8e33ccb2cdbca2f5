"""Tests that need a daemon are there only where one is."""

import os

DAEMONS = ("PARB_TEST_DOCKERD", "PARB_TEST_PODMAN")
collect_ignore = [] if any(os.environ.get(name) for name in DAEMONS) else ["test_daemon.py"]
