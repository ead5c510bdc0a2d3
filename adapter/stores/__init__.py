"""The stores' own APIs. Every module here that holds a `PLATFORM` is one; adding a provider's API is one such module."""
