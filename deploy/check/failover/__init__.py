"""The shipped Redis, Sentinel and HAProxy files, run on loopback."""
