"""The database: tables, migrations, and every SQL statement, in modules named for who uses them.

Nothing here decides what happens to a delivery, and nothing calls a store or Drip.
"""
