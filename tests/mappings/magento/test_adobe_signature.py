"""Adobe's two RSA signatures, against vectors made with openssl, and key fetching over real HTTP."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapter.errors import SettingsError
from adapter.settings import Settings, read_settings
from adapter.stores.magento import adobe_keys
from adapter.stores.magento.adobe_keys import AdobeKeys, with_adobe_keys
from mappings import PROVIDERS, Credentials, KeyAway, Verdict
from tests.support.adapter_under_test import AdapterUnderTest
from tests.support.whole_app import create_app

VECTOR = json.loads((Path(__file__).parent.parent.parent / "vectors" / "rsa" / "adobe.json").read_text())
BODY, PEM = VECTOR["body"].encode(), VECTOR["public_key"].encode()
IO, WEBHOOK = PROVIDERS["magento"].scheme("adobe_io"), PROVIDERS["magento"].scheme("adobe_webhook")
PATH = "/prod/keys/pub-key-0123-abcd.pem"
OUR_OWN: RSAPrivateKey = generate_private_key(65537, 2048)


def signature_of(body: bytes) -> str:
    return base64.b64encode(OUR_OWN.sign(body, PKCS1v15(), SHA256())).decode()


def own_pem() -> bytes:
    return OUR_OWN.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def headers(first: str = VECTOR["io_signature"], path: str = PATH, second: str = "") -> dict[str, str]:
    pairs = {"x-adobe-digital-signature-1": first, "x-adobe-public-key1-path": path}
    return pairs | ({"x-adobe-digital-signature-2": second, "x-adobe-public-key2-path": PATH} if second else {})


class Keys:
    """Returns one key, and records the requested paths."""

    def __init__(self, pem: bytes = PEM) -> None:
        self.pem = pem
        self.asked: list[str] = []

    def __call__(self, path: str) -> bytes:
        self.asked.append(path)
        return self.pem


def credentials(keys: Any = None, **more: Any) -> Credentials:
    return Credentials(secrets=(), client_id=more.pop("client_id", "our-client"), fetch_key=keys or Keys(), **more)


class TestEvents:
    def test_a_signature_made_with_openssl_is_valid(self) -> None:
        assert IO.verify(headers(), BODY, credentials()) is Verdict.GENUINE

    def test_either_signature_is_enough(self) -> None:
        assert IO.verify(headers(first="AAAA", second=VECTOR["io_signature"]), BODY, credentials()) is Verdict.GENUINE

    @pytest.mark.parametrize("signature", ["", "  "])
    def test_a_missing_signature_is_reported_as_missing(self, signature: str) -> None:
        assert IO.verify(headers(first=signature), BODY, credentials()) is Verdict.MISSING

    @pytest.mark.parametrize(
        "signature",
        ["AAAA", "not base64!", VECTOR["io_signature"][:-8], "\xe9" * 40, VECTOR["webhook_signature"], VECTOR["io_signature"] + "\n x"],
    )
    def test_a_wrong_signature_is_invalid(self, signature: str) -> None:
        assert IO.verify(headers(first=signature), BODY, credentials()) is Verdict.MISMATCH

    def test_one_changed_byte_makes_a_signature_invalid(self) -> None:
        assert IO.verify(headers(), BODY.replace(b"501", b"502"), credentials()) is Verdict.MISMATCH

    @pytest.mark.parametrize(
        "path",
        [
            "@evil.example/prod/keys/x.pem", ".evil.example/prod/keys/x.pem", "//evil.example/prod/keys/x.pem", "/prod/keys/../../x.pem",
            "/prod/keys/%2e%2e/x.pem", "/prod/keys/a/b.pem", "/prod/keys/x.pem?y", "/prod/keys/x.pem\n", "https://evil.example/x.pem",
            "/stage/keys/x.pem", "/prod/keys/.pem\x00", "",
        ],
    )  # fmt: skip
    def test_a_path_that_leads_elsewhere_is_never_fetched(self, path: str) -> None:
        keys = Keys()
        verdict = IO.verify(headers(path=path), BODY, credentials(keys))
        # A trailing line break is not part of a header's value.
        assert keys.asked == ([path.strip()] if path.strip() == "/prod/keys/x.pem" else [])
        assert verdict is (Verdict.GENUINE if keys.asked else Verdict.MISMATCH)

    @pytest.mark.parametrize("client_id", ["another-client", "", "our-clien", "our-client "])
    def test_an_event_for_another_client_is_rejected(self, client_id: str) -> None:
        assert IO.verify(headers(), BODY, credentials(client_id=client_id)) is Verdict.MISMATCH

    @pytest.mark.parametrize(
        ("events", "genuine"),
        [
            ([{"recipientclientid": "our-client"}, {"recipient_client_id": "our-client"}], True),
            ([{"recipientclientid": "our-client"}, {"recipientclientid": "another"}], False),
            ([{"recipientclientid": "our-client"}, {}], False),
            ([{"recipientclientid": "our-client"}, "our-client"], False),
            ([], False),
            ({"id": "e1"}, False),
            ("our-client", False),
        ],
    )
    def test_every_event_in_a_body_must_be_for_this_client(self, events: Any, genuine: bool) -> None:
        body = json.dumps(events).encode()
        verdict = IO.verify(headers(first=signature_of(body)), body, credentials(Keys(own_pem())))
        assert verdict is (Verdict.GENUINE if genuine else Verdict.MISMATCH)

    def test_a_signed_body_that_is_not_json_is_rejected(self) -> None:
        body = b"not json"
        assert IO.verify(headers(first=signature_of(body)), body, credentials(Keys(own_pem()))) is Verdict.MISMATCH

    @pytest.mark.parametrize("pem", [b"", b"<html>", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
    def test_an_invalid_key_verifies_nothing(self, pem: bytes) -> None:
        assert IO.verify(headers(), BODY, credentials(Keys(pem))) is Verdict.MISMATCH

    def test_without_access_to_the_key_nothing_is_verified(self) -> None:
        def away(path: str) -> bytes:
            raise KeyAway("out of reach")

        assert IO.verify(headers(), BODY, credentials(away)) is Verdict.UNJUDGED


class TestWebhooks:
    def test_a_signature_made_with_openssl_is_valid(self) -> None:
        held = Credentials(secrets=(), public_key=VECTOR["public_key"])
        assert WEBHOOK.verify({"x-adobe-commerce-webhook-signature": VECTOR["webhook_signature"]}, BODY, held) is Verdict.GENUINE

    @pytest.mark.parametrize("signature", [VECTOR["io_signature"], "AAAA", "\xe9", VECTOR["webhook_signature"][4:]])
    def test_anything_else_is_invalid(self, signature: str) -> None:
        held = Credentials(secrets=(), public_key=VECTOR["public_key"])
        assert WEBHOOK.verify({"x-adobe-commerce-webhook-signature": signature}, BODY, held) is Verdict.MISMATCH

    def test_no_signature_is_reported_as_missing(self) -> None:
        assert WEBHOOK.verify({}, BODY, Credentials(secrets=(), public_key=VECTOR["public_key"])) is Verdict.MISSING


class KeyServer(ThreadingHTTPServer):
    """The server where Adobe publishes its keys."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status if self.path == PATH or self.server.status != 200 else 404)
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(own_pem())

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[KeyServer]:
    server = KeyServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def keys_at(server: KeyServer) -> AdobeKeys:
    return AdobeKeys(f"http://{server.host}", named=server.host)


class TestKeys:
    def test_a_key_is_fetched_once(self, server: KeyServer) -> None:
        keys = keys_at(server)
        assert [keys(PATH), keys(PATH)] == [own_pem(), own_pem()]
        assert server.asked == [PATH]

    def test_a_day_later_it_is_fetched_again(self, server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = keys_at(server)
        keys(PATH)
        now = adobe_keys.time.monotonic()  # type: ignore[attr-defined]
        monkeypatch.setattr("adapter.stores.magento.adobe_keys.time.monotonic", lambda: now + 24 * 3600 + 1)
        keys(PATH)
        assert server.asked == [PATH, PATH]

    def test_a_missing_key_is_blank(self, server: KeyServer) -> None:
        assert keys_at(server)("/prod/keys/other.pem") == b""

    @pytest.mark.parametrize("status", [500, 302, 403])
    def test_a_failing_server_is_not_asked_again_for_a_moment(self, server: KeyServer, status: int) -> None:
        server.status = status
        keys = keys_at(server)
        for _ in range(3):
            with pytest.raises(KeyAway):
                keys(PATH)
        assert server.asked == [PATH]

    def test_an_unreachable_server(self, server: KeyServer) -> None:
        with pytest.raises(KeyAway):
            AdobeKeys("http://127.0.0.1:1", named="127.0.0.1:1")(PATH)

    def test_the_cache_is_limited(self, server: KeyServer) -> None:
        keys = keys_at(server)
        for number in range(adobe_keys._MOST_KEYS + 5):
            keys(f"/prod/keys/{number}.pem")
        assert len(keys._no_keys) <= adobe_keys._MOST_KEYS

    @pytest.mark.parametrize("status", [404, 403])
    def test_paths_without_a_key_neither_displace_nor_block_real_keys(self, server: KeyServer, status: int) -> None:
        keys = keys_at(server)
        keys(PATH)
        server.status = status
        for number in range(adobe_keys._MOST_KEYS + 5):
            with suppress(KeyAway):
                keys(f"/prod/keys/{number}.pem")
        assert keys(PATH) == own_pem()

    def test_an_answer_for_one_path_does_not_apply_to_another(self, server: KeyServer) -> None:
        server.status = 403
        keys = keys_at(server)
        with pytest.raises(KeyAway):
            keys("/prod/keys/other.pem")
        server.status = 200
        assert keys(PATH) == own_pem()

    def test_a_cached_key_does_not_wait_for_other_requests(self, server: KeyServer) -> None:
        keys = keys_at(server)
        keys(PATH)
        with keys._fetching:  # as if another key were being fetched
            begun = time.monotonic()
            assert keys(PATH) == own_pem()
            with pytest.raises(KeyAway):
                keys("/prod/keys/other.pem")
            assert time.monotonic() - begun < 2


def with_events(settings: Settings, keys: AdobeKeys) -> Settings:
    store = settings.stores["magento"]
    proved = replace(store, auth="adobe_io", credentials=credentials(keys), secret_setting="STORES: stores.magento.adobe_client_id")
    return replace(settings, stores={**settings.stores, "magento": proved})


class TestReceiving:
    def post(self, adapter: AdapterUnderTest, body: bytes, signature: str) -> Any:
        web = create_app(adapter.settings, adapter.engine).test_client()
        return web.post("/webhooks/magento", data=body, headers={**headers(first=signature), "Content-Type": "application/json"})

    def test_a_signed_event_is_stored(self, adapter: AdapterUnderTest, server: KeyServer) -> None:
        adapter.settings = with_events(adapter.settings, keys_at(server))
        assert self.post(adapter, BODY, signature_of(BODY)).status_code == 200
        assert len(adapter.rows()) == 1

    def test_a_forged_event_is_not_stored(self, adapter: AdapterUnderTest, server: KeyServer) -> None:
        adapter.settings = with_events(adapter.settings, keys_at(server))
        answer = self.post(adapter, BODY, VECTOR["io_signature"])
        assert answer.status_code == 401
        assert "adobe_client_id" in answer.json["error"]
        assert adapter.rows() == []

    def test_while_the_key_server_is_unreachable_adobe_is_asked_to_retry(self, adapter: AdapterUnderTest, server: KeyServer) -> None:
        server.status = 503
        adapter.settings = with_events(adapter.settings, keys_at(server))
        answer = self.post(adapter, BODY, signature_of(BODY))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert adapter.rows() == []


class TestSettings:
    def read(self, monkeypatch: pytest.MonkeyPatch, table: str) -> Settings:
        monkeypatch.setenv("STORES", f'[stores.shop]\nprovider = "magento"\nstore_url = "https://shop.example"\n{table}')
        return read_settings()

    def test_events_need_a_client_id_and_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store = self.read(monkeypatch, 'auth = "adobe_io"\nadobe_client_id = "our-client"').stores["shop"]
        assert (store.credentials.client_id, store.secret_setting) == ("our-client", "STORES: stores.shop.adobe_client_id")
        assert store.credentials.fetch_key is None  # settings are plain data

    def test_stores_get_a_key_fetcher_where_signatures_are_verified(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = self.read(
            monkeypatch, 'auth = "adobe_io"\nadobe_client_id = "our-client"\n[stores.b]\nprovider = "shopify"\nsecret = "a-secret"'
        )
        equipped = with_adobe_keys(settings).stores
        assert isinstance(equipped["shop"].credentials.fetch_key, AdobeKeys)
        assert equipped["b"] == settings.stores["b"]

    def test_webhooks_need_a_public_key_and_no_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table = f'auth = "adobe_webhook"\npublic_key = """{VECTOR["public_key"]}"""'
        assert self.read(monkeypatch, table).stores["shop"].credentials.public_key == VECTOR["public_key"]

    @pytest.mark.parametrize(
        ("table", "says"),
        [
            ('auth = "adobe_io"', 'stores.shop.adobe_client_id: missing, while auth is "adobe_io"'),
            ('auth = "adobe_webhook"', 'stores.shop.public_key: missing, while auth is "adobe_webhook"'),
            ('auth = "adobe_webhook"\npublic_key = "x"', "stores.shop.public_key: isn't a public RSA key in PEM format"),
            ("", "stores.shop.secret: missing"),
        ],
    )
    def test_what_is_missing_is_named(self, monkeypatch: pytest.MonkeyPatch, table: str, says: str) -> None:
        with pytest.raises(SettingsError, match=says.replace(".", r"\.")):
            self.read(monkeypatch, table)
