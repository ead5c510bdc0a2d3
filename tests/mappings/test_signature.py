"""Signatures, with vectors from openssl and from the platforms' documentation."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings import PROVIDERS, Credentials, Scheme, Verdict
from mappings.core.signature import basic, hmac_base64, hmac_hex_or_base64, token

VECTORS = sorted((Path(__file__).parent.parent / "vectors").glob("*.json"))
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# printf '{"id":76}' | openssl dgst -sha256 -hmac testsecret
BODY, SECRET = b'{"id":76}', "testsecret"
BASE64 = "z17NFWA50Cpqavp54Zlxx4cy2acFHLvp2JNs6eeGYD8="
HEX = "cf5ecd156039d02a6a6afa79e19971c78732d9a7051cbbe9d8936ce9e786603f"
MAGENTO = hmac_hex_or_base64("x-magento-signature")


def judge(scheme: Scheme, proof: str | None, *, payload: bytes = BODY, secrets: tuple[str, ...] = (SECRET,), **more: Any) -> Verdict:
    credentials = Credentials(secrets=secrets, **more)
    headers = {"content-type": "application/json"} | ({} if proof is None else {scheme.header(credentials): proof})
    return scheme.verify(headers, payload, credentials)


def read_vector(path: Path) -> tuple[dict[str, Any], bytes]:
    vector: dict[str, Any] = json.loads(path.read_bytes())
    return vector, vector["payload"].encode()


class TestKnownAnswers:
    @pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
    def test_what_openssl_signed_is_genuine(self, path: Path) -> None:
        vector, payload = read_vector(path)
        scheme = PROVIDERS[path.stem].scheme()
        headers = {**vector.get("headers", {}), vector["header"].lower(): vector["value"]}
        assert scheme.verify(headers, payload, Credentials(secrets=(vector["secret"],))) is Verdict.GENUINE

    @pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
    def test_we_sign_as_openssl_does(self, path: Path) -> None:
        vector, payload = read_vector(path)
        scheme, credentials = PROVIDERS[path.stem].scheme(), Credentials(secrets=(vector["secret"],))
        assert scheme.header(credentials) == vector["header"].lower()
        assert scheme.signed(payload, credentials) == {**vector.get("headers", {}), vector["header"].lower(): vector["value"]}

    @pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
    @pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
    def test_the_vector_is_what_its_command_prints(self, path: Path) -> None:
        vector, _ = read_vector(path)
        printed = subprocess.run(["sh", "-c", vector["command"]], capture_output=True, check=True).stdout.decode()
        assert printed.strip().rpartition(" ")[2] == vector["value"]

    def test_every_provider_has_a_vector(self) -> None:
        assert {path.stem for path in VECTORS} == set(PROVIDERS)

    @pytest.mark.parametrize(
        ("secret", "payload", "value"),
        [
            (
                "hush",
                b'{"id":820982911946154508,"name":"#9999","note":"caf\\u00e9 \\/ \xc3\xa9"}',
                "aNqZskbX6yuK2xSlqQDUbxGcdJj6nbzJjWMnv0h83Bk=",
            ),
            (SECRET, BODY, BASE64),
            ("a&b'c\"d", BODY, "BsVEL41cSEQhTj/dSJtKD2jUcT8iCT2WpHVnv2K9wY4="),
        ],
        ids=["shopify", "woocommerce", "woocommerce, punctuation"],
    )
    def test_the_vectors_of_the_platform_sheets_hold(self, secret: str, payload: bytes, value: str) -> None:
        assert judge(hmac_base64("x-signature"), value, payload=payload, secrets=(secret,)) is Verdict.GENUINE

    def test_rfc_4231_holds(self) -> None:
        """Test case 2 of the standard."""
        value = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        assert judge(MAGENTO, value, payload=b"what do ya want for nothing?", secrets=("Jefe",)) is Verdict.GENUINE


class TestBase64:
    SCHEME = hmac_base64("x-shopify-hmac-sha256", "shopify-hmac-sha256")

    def test_hex_is_not_accepted_if_the_platform_sends_base64(self) -> None:
        assert judge(self.SCHEME, HEX) is Verdict.MISMATCH

    def test_case_counts(self) -> None:
        assert judge(self.SCHEME, BASE64.swapcase()) is Verdict.MISMATCH

    def test_spaces_around_it_do_not_count(self) -> None:
        assert judge(self.SCHEME, f" {BASE64} ") is Verdict.GENUINE

    @pytest.mark.parametrize("header", ["x-shopify-hmac-sha256", "shopify-hmac-sha256"])
    def test_each_header_name_of_the_platform_works(self, header: str) -> None:
        assert self.SCHEME.verify({header: BASE64}, BODY, Credentials(secrets=(SECRET,))) is Verdict.GENUINE

    def test_the_body_counts_byte_for_byte(self) -> None:
        assert judge(self.SCHEME, BASE64, payload=b'{"id": 76}') is Verdict.MISMATCH


class TestHexOrBase64:
    @pytest.mark.parametrize("proof", [HEX, HEX.upper(), BASE64, f"sha256={HEX}", f"sha256={BASE64}", f"SHA256={HEX}"])
    def test_every_format_of_the_extensions_is_accepted(self, proof: str) -> None:
        assert judge(MAGENTO, proof) is Verdict.GENUINE

    @pytest.mark.parametrize(
        "proof",
        ["sha256=", f"sha1={HEX}", f"sha256=sha256={HEX}", f"sha256:{HEX}", HEX[:-1], f"{HEX}0", BASE64[:-1], BASE64.lower(), "0" * 64],
    )
    def test_similar_values_are_not(self, proof: str) -> None:
        assert judge(MAGENTO, proof) is Verdict.MISMATCH

    def test_the_stores_own_header_replaces_the_default(self) -> None:
        credentials = Credentials(secrets=(SECRET,), header="Magento-Two-Signature")
        assert MAGENTO.header(credentials) == "magento-two-signature"
        assert MAGENTO.verify({"magento-two-signature": HEX}, BODY, credentials) is Verdict.GENUINE
        assert MAGENTO.verify({"x-magento-signature": HEX}, BODY, credentials) is Verdict.MISSING


class TestToken:
    SCHEME = token("authorization")

    @pytest.mark.parametrize("proof", [f"Bearer {SECRET}", f"bearer {SECRET}", f"BEARER  {SECRET}", SECRET])
    def test_it_is_accepted_with_and_without_bearer(self, proof: str) -> None:
        assert judge(self.SCHEME, proof) is Verdict.GENUINE

    @pytest.mark.parametrize(
        "proof", ["Bearer", "Bearer ", f"Bearer{SECRET}", f"Token {SECRET}", f"{SECRET}x", SECRET[:-1], SECRET.upper()]
    )
    def test_anything_else_does_not(self, proof: str) -> None:
        assert judge(self.SCHEME, proof) is Verdict.MISMATCH

    def test_it_can_be_in_a_header_of_the_stores_choice(self) -> None:
        assert judge(self.SCHEME, SECRET, header="X-Webhook-Token") is Verdict.GENUINE
        credentials = Credentials(secrets=(SECRET,), header="X-Webhook-Token")
        assert self.SCHEME.sign(BODY, SECRET, credentials) == SECRET
        assert self.SCHEME.verify({"authorization": SECRET}, BODY, credentials) is Verdict.MISSING

    def test_it_can_be_non_ascii(self) -> None:
        # WSGI decodes headers as Latin-1, so a UTF-8 token arrives as its bytes read as Latin-1.
        assert judge(self.SCHEME, "pässwort".encode().decode("latin-1"), secrets=("pässwort",)) is Verdict.GENUINE


class TestBasic:
    # printf 'ada:testsecret' | base64
    PROOF = "Basic YWRhOnRlc3RzZWNyZXQ="

    @pytest.mark.parametrize("proof", [PROOF, "basic YWRhOnRlc3RzZWNyZXQ="])
    def test_user_name_and_password_are_accepted(self, proof: str) -> None:
        assert judge(basic(), proof, username="ada") is Verdict.GENUINE

    @pytest.mark.parametrize("proof", ["YWRhOnRlc3RzZWNyZXQ=", "Bearer YWRhOnRlc3RzZWNyZXQ=", "Basic", "Basic ada:testsecret", PROOF[:-1]])
    def test_anything_else_does_not(self, proof: str) -> None:
        assert judge(basic(), proof, username="ada") is Verdict.MISMATCH

    def test_the_user_name_counts(self) -> None:
        assert judge(basic(), self.PROOF, username="eve") is Verdict.MISMATCH

    def test_a_password_can_contain_a_colon_and_umlauts(self) -> None:
        proof = basic().sign(BODY, "a:ü", Credentials(secrets=("a:ü",), username="ada"))
        assert proof == "Basic YWRhOmE6w7w="
        assert judge(basic(), proof, secrets=("a:ü",), username="ada") is Verdict.GENUINE


SCHEMES = {"base64": hmac_base64("x-signature"), "hex or base64": MAGENTO, "token": token("authorization"), "basic": basic()}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
class TestEveryScheme:
    def test_its_own_signature_is_genuine(self, scheme: Scheme) -> None:
        assert judge(scheme, scheme.sign(BODY, SECRET, Credentials(secrets=(SECRET,)))) is Verdict.GENUINE

    @pytest.mark.parametrize("proof", [None, "", "  "])
    def test_no_signature_is_missing_and_not_wrong(self, scheme: Scheme, proof: str | None) -> None:
        assert judge(scheme, proof) is Verdict.MISSING

    def test_both_secrets_work_while_rotating(self, scheme: Scheme) -> None:
        for signed_with in ("new secret", "old secret"):
            proof = scheme.sign(BODY, signed_with, Credentials(secrets=(signed_with,)))
            assert judge(scheme, proof, secrets=("new secret", "old secret")) is Verdict.GENUINE
            assert judge(scheme, proof, secrets=("another",)) is Verdict.MISMATCH

    @pytest.mark.parametrize("secrets", [(), ("",), ("", "")])
    def test_without_a_secret_nothing_is_genuine(self, scheme: Scheme, secrets: tuple[str, ...]) -> None:
        """Anybody can compute an HMAC with an empty key."""
        proof = scheme.sign(BODY, "", Credentials(secrets=("",)))
        assert judge(scheme, proof or "x", secrets=secrets) is not Verdict.GENUINE

    @PATIENT
    @given(proof=st.text(max_size=80), payload=st.binary(max_size=40))
    def test_no_header_value_crashes_it_or_is_accepted_by_accident(self, scheme: Scheme, proof: str, payload: bytes) -> None:
        """`hmac.compare_digest` raises on a non-ASCII `str`: that would be a 500 instead of a 401."""
        assert judge(scheme, proof, payload=payload) is (Verdict.MISMATCH if proof.strip() else Verdict.MISSING)


def test_printed_credentials_do_not_show_secrets() -> None:
    assert SECRET not in repr(Credentials(secrets=(SECRET,), username="ada"))
