"""Tests that need a daemon are there only where one is."""

import os

collect_ignore = [] if os.environ.get("PARB_TEST_DOCKERD") else ["test_daemon.py"]
