"""What the adapter is compared with: the same stack that keeps nothing, with one synced insert for each request, and with Celery and Redis.

gunicorn starts them from here; all of them check the signature, and that is all that they have in common with the adapter.
"""

import base64
import hashlib
import hmac
import os
import sqlite3
import threading
from typing import Any

from flask import Flask, Response, jsonify, request

from tests.support.adapter_under_test import SECRET

_CREATE = "CREATE TABLE IF NOT EXISTS naive (id INTEGER PRIMARY KEY {generated}, body {blob} NOT NULL)"
_local = threading.local()


def _is_genuine(payload: bytes) -> bool:
    expected = base64.b64encode(hmac.new(SECRET.encode(), payload, hashlib.sha256).digest())
    return hmac.compare_digest(expected, request.headers.get("X-Shopify-Hmac-Sha256", "").encode())


def _app(name: str) -> Flask:
    """An app that says when it is up."""
    app = Flask(name)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    return app


def bare() -> Flask:
    """Checks the signature and keeps nothing: the ceiling of the stack."""
    app = _app("bare")

    @app.post("/webhooks/shopify")
    def receive() -> tuple[Response, int]:
        genuine = _is_genuine(request.get_data())
        return jsonify(status="forgotten"), 200 if genuine else 401

    return app


def naive() -> Flask:
    """Inserts each body in a transaction of its own, as a first version would."""
    app = _app("naive")
    url = os.environ["NAIVE_DATABASE"]
    insert = "INSERT INTO naive (body) VALUES ({})".format("?" if url.startswith("sqlite") else "%s")

    @app.post("/webhooks/shopify")
    def receive() -> tuple[Response, int]:
        payload = request.get_data()
        if not _is_genuine(payload):
            return jsonify(status="forgotten"), 401
        connection = _connection(url)
        connection.execute(insert, (payload,))
        connection.commit()
        return jsonify(status="kept"), 200

    return app


def queued() -> Flask:
    """Hands each body to Celery, whose broker is a Redis in memory: what many scripts do."""
    from tests.benchmarks.celery_app import forward

    forward.delay("")  # waits for Redis, and loads what sending takes
    app = _app("queued")

    @app.post("/webhooks/shopify")
    def receive() -> tuple[Response, int]:
        payload = request.get_data()
        if not _is_genuine(payload):
            return jsonify(status="forgotten"), 401
        forward.delay(payload.decode())
        return jsonify(status="queued"), 200

    return app


def _connection(url: str) -> Any:
    """A connection for each thread."""
    if not hasattr(_local, "connection"):
        if url.startswith("sqlite"):
            _local.connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
            _local.connection.execute("PRAGMA journal_mode = WAL")
            _local.connection.execute("PRAGMA synchronous = FULL")
        else:
            import psycopg

            _local.connection = psycopg.connect(url)
    return _local.connection


def create_naive_table(url: str) -> None:
    """Make the table that `naive` inserts into."""
    sqlite = url.startswith("sqlite")
    generated, blob = ("AUTOINCREMENT", "BLOB") if sqlite else ("GENERATED ALWAYS AS IDENTITY", "BYTEA")
    connection = _connection(url)
    connection.execute(_CREATE.format(generated=generated, blob=blob))
    connection.commit()
    connection.close()
    del _local.connection
