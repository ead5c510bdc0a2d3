"""The whole web side behind Flask's test client."""

from flask import Flask
from sqlalchemy import Engine

from adapter.settings import Settings
from adapter.web.app import App


def create_app(settings: Settings, engine: Engine | None = None) -> Flask:
    """The Flask app of the pages, with everything in front of it that is in front of it in a web process."""
    whole = App(settings, engine)
    pages = whole.pages.load()
    pages.wsgi_app = whole  # type: ignore[method-assign]
    return pages
