"""Servers that behave like the platforms' APIs, written from the platforms' documentation. They use nothing of the clients they test."""
