"""Product data: looked up in the stores, cached, and added to orders before they are sent.

How a store's API is asked is in `adapter.stores`; how its response is read is in `mappings`.
"""
