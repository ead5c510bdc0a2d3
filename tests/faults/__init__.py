"""The adapter under failure: kill -9, full disks, paused senders. Run by `make test-faults`, not by `make test`."""
