"""The stores' own APIs, one folder per platform, all behind the interfaces in `api`.

Nothing here uses the database; what a payload means is decided in `mappings`.
"""
