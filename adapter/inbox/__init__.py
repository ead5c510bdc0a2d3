"""The database: tables, migrations, and every statement on them, in modules named for who asks. Nothing here calls a store or Drip."""
