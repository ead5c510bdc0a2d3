"""The inbox: tables, migrations, and the few named statements on them."""
