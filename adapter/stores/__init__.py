"""The stores' own APIs: one folder a platform behind the shapes in `api`. Answers go up; nothing here is kept in the database."""
