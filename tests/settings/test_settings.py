"""What the environment decides, and how its problems are reported."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapter.cli.startup import CHECKS
from adapter.errors import SettingsError
from adapter.settings import Account, Settings, read_settings
from mappings import PROVIDERS, Limits

Environ = Callable[..., None]
FORGEABLE = "is blank, so anyone could forge webhooks; set the store's secret, or leave it out"
DRIP = {"DRIP_ACCOUNT_ID": "9999999", "DRIP_API_KEY": "key-of-drip"}
WOO = '[stores.eu]\nprovider = "woocommerce"\nsecret = "the-secret"\n'
EU = '[stores.eu]\nprovider = "shopify"\nsecret = "the-secret"\n'


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Environ:
    def setenv(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return setenv


def problems(**options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(**options)
    return str(caught.value).splitlines()


def test_without_settings_the_defaults_are_complete() -> None:
    settings = read_settings()
    assert (settings.stores, settings.accounts) == ({}, {})
    assert settings.database_url == "sqlite:///adapter.db"
    assert settings.drip_api_url == "https://api.getdrip.com"
    assert (settings.public_url, settings.public_url_is_set) == ("http://127.0.0.1:8000", False)
    assert (settings.port, settings.web_concurrency, settings.log_level) == (None, 2, "INFO")
    assert (settings.single_requests_per_hour, settings.batch_requests_per_hour, settings.max_payload_bytes) == (3600, 50, 5_000_000)


def test_variables_are_read(environ: Environ) -> None:
    environ(
        DRIP_API_URL="https://drip.example/",
        PUBLIC_URL="https://adapter.example/",
        PORT="8080",
        WEB_CONCURRENCY="3",
        LOG_LEVEL="debug",
        METRICS_TOKEN="monitor-token",
        MAX_PAYLOAD_BYTES="1000",
        SINGLE_REQUESTS_PER_HOUR="10",
        BATCH_REQUESTS_PER_HOUR="0",
        MAX_ORDERS_PER_PAYLOAD="10",
        MAX_LINES_PER_ORDER="20",
        MAX_NESTING="30",
        SHOPIFY_WEBHOOK_SECRET="shopify-secret-1",
    )
    settings = read_settings()
    assert settings.drip_api_url == "https://drip.example"
    assert (settings.public_url, settings.public_url_is_set) == ("https://adapter.example", True)
    assert (settings.port, settings.web_concurrency, settings.log_level, settings.metrics_token) == (8080, 3, "DEBUG", "monitor-token")
    assert (settings.max_payload_bytes, settings.single_requests_per_hour, settings.batch_requests_per_hour) == (1000, 10, 0)
    assert settings.stores["shopify"].options.limits == Limits(orders=10, lines=20, nesting=30)


@pytest.mark.parametrize(
    "name",
    ["DRIP_ACCOUNT_ID", "DRIP_API_KEY", "DRIP_API_URL", "PUBLIC_URL", "DATABASE_URL", "PORT", "WEB_CONCURRENCY", "LOG_LEVEL", "STORES"],
)
def test_a_variable_that_is_set_but_blank_counts_as_unset(environ: Environ, name: str) -> None:
    usual = read_settings()
    environ(**{name: " "})
    assert read_settings() == usual


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("WEB_CONCURRENCY", "0"),
        ("MAX_PAYLOAD_BYTES", "5 MB"),
        ("MAX_ORDERS_PER_PAYLOAD", "0"),
        ("MAX_LINES_PER_ORDER", "-1"),
        ("MAX_NESTING", "1000"),
        ("MAPPING_TIMEOUT_S", "0"),
        ("SINGLE_REQUESTS_PER_HOUR", "0"),
        ("BATCH_REQUESTS_PER_HOUR", "-1"),
        ("LOG_LEVEL", "LOUD"),
        ("DRIP_API_URL", "api.getdrip.com"),
        ("PUBLIC_URL", "/adapter"),
        ("DATABASE_URL", "mysql://u@h/d"),
        ("DATABASE_URL", "sqlite://adapter.db"),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("STORES", "nowhere.toml"),
        ("STORES", "[stores.eu"),
        ("STORES", "[stores.eu]\n= 1"),
        ("STORES", "stores = 1"),
        ("SHOPIFY_WEBHOOK_SECRET", ""),
        ("SHOPIFY_WEBHOOK_SECRET", "  "),
        ("WOOCOMMERCE_WEBHOOK_SECRET", ""),
        ("MAGENTO_WEBHOOK_SECRET", ""),
    ],
)
def test_a_problem_names_its_setting(environ: Environ, name: str, value: str) -> None:
    environ(**{name: value})
    [problem] = problems()
    assert problem.startswith(f"{name}: ")


def test_stores_that_are_neither_a_file_nor_toml_are_not_quoted(environ: Environ) -> None:
    environ(STORES='{"stores": {"eu": {"secret": "hunter2"}}}')
    [problem] = problems()
    assert "neither TOML" in problem
    assert "hunter2" not in problem


def test_all_problems_are_in_one_message(environ: Environ) -> None:
    environ(
        PORT="x",
        LOG_LEVEL="y",
        DRIP_API_KEY="key-of-drip",
        SHOPIFY_WEBHOOK_SECRET="",
        STORES='[other]\na = 1\n[stores.eu]\nprovider = "shopify"\nfoo = 1\n[stores."A B"]\nprovider = "shopify"\n',
    )
    named = {problem.partition(": ")[0] if not problem.startswith("STORES: ") else problem.split(": ")[1] for problem in problems()}
    assert named == {
        "PORT", "LOG_LEVEL", "DRIP_ACCOUNT_ID", "SHOPIFY_WEBHOOK_SECRET", "contains other; only tables [stores.NAME] are allowed",
        "stores.eu.secret", "stores.eu.foo", "stores.A B",
    }  # fmt: skip


# Drip


def test_an_api_key_goes_as_basic_and_an_access_token_as_bearer(environ: Environ, monkeypatch: pytest.MonkeyPatch) -> None:
    environ(**DRIP, SHOPIFY_WEBHOOK_SECRET="the-secret")
    assert read_settings().accounts == {"9999999": Account(id="9999999", token="key-of-drip", auth="basic")}
    monkeypatch.delenv("DRIP_API_KEY")
    environ(DRIP_ACCESS_TOKEN=" token-of-drip\n")
    assert read_settings().accounts == {"9999999": Account(id="9999999", token="token-of-drip", auth="bearer")}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"DRIP_API_KEY": "key-of-drip"}, "DRIP_ACCOUNT_ID"),
        ({"DRIP_ACCESS_TOKEN": "token-of-drip"}, "DRIP_ACCOUNT_ID"),
        ({"DRIP_ACCOUNT_ID": "1"}, "DRIP_API_KEY"),
        ({"DRIP_ACCOUNT_ID": "1/2", "DRIP_API_KEY": "key-of-drip"}, "DRIP_ACCOUNT_ID"),
        ({"DRIP_ACCOUNT_ID": "1", "DRIP_API_KEY": "key-of-drip", "DRIP_ACCESS_TOKEN": "token-of-drip"}, "DRIP_ACCESS_TOKEN"),
        ({"DRIP_ACCOUNT_ID": "1", "DRIP_API_KEY": "key-of\u200bdrip"}, "DRIP_API_KEY"),
        ({"DRIP_ACCOUNT_ID": "1", "DRIP_ACCESS_TOKEN": "Bearer token-of-drip"}, "DRIP_ACCESS_TOKEN"),
    ],
)
def test_an_incomplete_or_garbled_account_is_a_problem(environ: Environ, given: dict[str, str], named: str) -> None:
    environ(**given)
    [problem] = problems()
    assert problem.startswith(f"{named}: ")


# Stores of the environment


@pytest.mark.parametrize("platform", ["shopify", "woocommerce", "magento"])
def test_the_store_of_a_platform_needs_only_its_secret_and_magento_its_address(environ: Environ, platform: str) -> None:
    environ(**DRIP, **{f"{platform.upper()}_WEBHOOK_SECRET": "a,b, c, and d"})
    if platform == "magento":
        [problem] = problems()
        assert problem.startswith("MAGENTO_STORE_URL: missing")
        environ(MAGENTO_STORE_URL="https://shop.example/")
    [store] = read_settings().stores.values()
    assert (store.name, store.provider.name, store.secret_setting) == (platform, platform, f"{platform.upper()}_WEBHOOK_SECRET")
    assert store.credentials.secrets == ("a,b, c, and d",)
    assert store.account == Account(id="9999999", token="key-of-drip")


def test_a_platform_whose_webhooks_contain_only_an_id_needs_its_api(environ: Environ) -> None:
    environ(**DRIP, BIGCOMMERCE_WEBHOOK_SECRET="long enough", BIGCOMMERCE_STORE_URL="https://shop.example")
    assert [problem.partition(": missing")[0] for problem in problems()] == ["BIGCOMMERCE_API_URL", "BIGCOMMERCE_ACCESS_TOKEN"]
    assert read_settings(maybe_sandbox=True).stores["bigcommerce"].provider.needs_api
    environ(BIGCOMMERCE_API_URL="https://api.bigcommerce.com/stores/abc123/v3/", BIGCOMMERCE_ACCESS_TOKEN="token-of-the-account")
    assert read_settings().stores["bigcommerce"].api.url == "https://api.bigcommerce.com/stores/abc123/v3"


def test_the_previous_secret_counts_while_rotating(environ: Environ) -> None:
    environ(SHOPIFY_WEBHOOK_SECRET="new-secret", SHOPIFY_WEBHOOK_SECRET_PREVIOUS="old-secret")
    assert read_settings().stores["shopify"].credentials.secrets == ("new-secret", "old-secret")
    environ(SHOPIFY_WEBHOOK_SECRET_PREVIOUS="")
    assert read_settings().stores["shopify"].credentials.secrets == ("new-secret",)


@pytest.mark.parametrize("around", ["{}\n", " {}", "{}\r\n", "\t{} "])
def test_space_around_a_secret_is_no_part_of_it(environ: Environ, around: str) -> None:
    environ(WOOCOMMERCE_WEBHOOK_SECRET=around.format("the new one"), WOOCOMMERCE_WEBHOOK_SECRET_PREVIOUS=around.format("the-old-one"))
    assert read_settings().stores["woocommerce"].credentials.secrets == ("the new one", "the-old-one")


@pytest.mark.parametrize("blank", [" ", "\n", "\t \r\n"])
def test_a_blank_secret_is_refused_also_the_previous_one(environ: Environ, blank: str) -> None:
    environ(WOOCOMMERCE_WEBHOOK_SECRET=blank)
    [problem] = problems()
    assert problem == "WOOCOMMERCE_WEBHOOK_SECRET: " + FORGEABLE
    environ(WOOCOMMERCE_WEBHOOK_SECRET="the-secret", WOOCOMMERCE_WEBHOOK_SECRET_PREVIOUS=blank)
    [problem] = problems()
    assert problem == "WOOCOMMERCE_WEBHOOK_SECRET_PREVIOUS: " + FORGEABLE


EVERY_SECRET = (
    *(f"{provider.upper()}_WEBHOOK_SECRET{which}" for provider in PROVIDERS for which in ("", "_PREVIOUS")),
    "ADMIN_PASSWORD", "METRICS_TOKEN", "SECRET_KEY", "DRIP_API_KEY", "DRIP_ACCESS_TOKEN", "SHOPIFY_CLIENT_SECRET", "SHOPIFY_ACCESS_TOKEN",
    "WOOCOMMERCE_CONSUMER_KEY", "WOOCOMMERCE_CONSUMER_SECRET", "MAGENTO_ACCESS_TOKEN",
)  # fmt: skip


@pytest.mark.parametrize(
    "weak",
    ["\u200b", "\u200b" * 9, "x", " seven77\n", "\u200bseven77\u200b", "changeme", "Your-Secret_Here", "<secret>", "${HIDDEN}", "x" * 40],
)
def test_no_secret_of_the_environment_is_invisible_short_or_a_placeholder(
    environ: Environ, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    usual = {f"{provider.upper()}_WEBHOOK_SECRET": "long enough" for provider in PROVIDERS}
    for name in EVERY_SECRET:
        with monkeypatch.context() as patch:
            for other, value in (usual | {"PUBLIC_URL": "https://a.example", "MAGENTO_STORE_URL": "https://m.example", name: weak}).items():
                patch.setenv(other, value)
            if name.startswith("DRIP"):
                patch.setenv("DRIP_ACCOUNT_ID", "1")
            assert [problem.partition(": ")[0] for problem in problems() if problem.startswith(name)] == [name]


@pytest.mark.parametrize("option", ["secret", "secret_previous", "access_token", "access_token_secret", "consumer_key", "consumer_secret"])
@pytest.mark.parametrize("weak", ["", "  ", "\u200b", "seven77", "change-me", "{{secret}}"])
def test_no_secret_of_a_store_is_blank_short_or_a_placeholder(environ: Environ, option: str, weak: str) -> None:
    options = {"secret": "long enough", option: weak}
    lines = "".join(f'{name} = "{value}"\n' for name, value in options.items())
    environ(STORES=f'[stores.m]\nprovider = "magento"\nstore_url = "https://m.example"\n{lines}')
    assert [problem for problem in problems() if problem.startswith(f"STORES: stores.m.{option}: ")]


@pytest.mark.parametrize("option", ["username", "adobe_client_id"])
def test_what_is_verified_beside_a_secret_is_not_blank(environ: Environ, option: str) -> None:
    auth = {"username": "basic", "adobe_client_id": "adobe_io"}[option]
    environ(
        STORES=f'[stores.m]\nprovider = "magento"\nsecret = "long enough"\nstore_url = "https://m.example"\nauth = "{auth}"\n{option} = " "'
    )
    assert problems() == [f"STORES: stores.m.{option}: is blank"]


@pytest.mark.parametrize(
    ("variables", "listening_url", "accepted"),
    [
        ({}, "", True),
        ({}, "http://127.0.0.1:8000", True),
        ({"PUBLIC_URL": "http://localhost:8000"}, "", True),
        ({"PUBLIC_URL": "https://adapter.example"}, "", False),
        ({"PUBLIC_URL": "https://adapter.example"}, "http://127.0.0.1:8000", False),
        ({}, "http://0.0.0.0:8000", False),
        ({"PUBLIC_URL": "http://127.0.0.1:8000"}, "http://[::]:8000", False),
        ({"PORT": "8000"}, "", False),
        ({"FLY_APP_NAME": "orders", "ALLOW_EPHEMERAL": "1"}, "", False),
    ],
)
def test_a_short_password_is_for_this_machine_only(environ: Environ, variables: dict[str, str], listening_url: str, accepted: bool) -> None:
    environ(ADMIN_PASSWORD="x", **variables)
    if accepted:
        assert read_settings(listening_url=listening_url).password_is_weak
    else:
        [problem] = problems(listening_url=listening_url)
        assert problem.startswith("ADMIN_PASSWORD: is shorter than 8 characters")
    environ(ADMIN_PASSWORD="long enough")
    assert not read_settings(listening_url=listening_url).password_is_weak


def test_a_key_that_signs_cookies_is_longer(environ: Environ) -> None:
    environ(SECRET_KEY="fifteen letters")
    assert [problem.partition(",")[0] for problem in problems()] == ["SECRET_KEY: is shorter than 16 characters"]


def test_the_sandbox_takes_any_webhook_secret_that_is_not_blank(environ: Environ) -> None:
    environ(SHOPIFY_WEBHOOK_SECRET="s")
    assert read_settings(sandbox=True, sandbox_url="http://127.0.0.1:1").stores["shopify"].credentials.secrets == ("s",)
    environ(SHOPIFY_WEBHOOK_SECRET="\u200b")
    assert problems(sandbox=True) == ["SHOPIFY_WEBHOOK_SECRET: " + FORGEABLE]


def test_a_store_address_of_the_environment_is_checked_and_used(environ: Environ) -> None:
    environ(SHOPIFY_WEBHOOK_SECRET="the-secret", SHOPIFY_STORE_URL="https://shop.example")
    assert read_settings().stores["shopify"].options.store_url == "https://shop.example"
    environ(SHOPIFY_STORE_URL="shop.example")
    [problem] = problems()
    assert problem.startswith("SHOPIFY_STORE_URL: ")


def test_stores_are_open_without_a_drip_account(environ: Environ) -> None:
    environ(SHOPIFY_WEBHOOK_SECRET="the-secret")
    settings = read_settings()
    assert (settings.stores["shopify"].account, settings.accounts) == (None, {})


# STORES

WHOLE = """
[stores.eu]
provider = "magento"
secret = "current-secret"
secret_previous = "previous-secret"
auth = "basic"
username = "adobe"
aliases = ["old-eu", "older-eu"]
drip_account_id = "111"
drip_access_token = "token-111"
drip_provider = "my_store"
store_url = "https://eu.example"
person_id = "customer_id"
order_id = "increment_id"
order_url_template = "https://eu.example/o/{order_id}"
placeholder_image = "https://eu.example/none.png"
custom_attributes = { gift_message = "extension_attributes.gift_message" }
fee_keys = ["handling"]
forward_test_orders = true
forward_child_orders = true
forward_unpaid = true
ignore_orders_before = 2026-01-31
consent = "ignore"

[stores.us]
provider = "shopify"
secret = "secret-of-us"
currency = "presentment"
signature_header = "X-Own"
"""


def whole() -> Settings:
    settings = read_settings()
    eu, us = settings.stores["eu"], settings.stores["us"]
    assert (eu.provider.name, eu.auth, eu.aliases) == ("magento", "basic", ("old-eu", "older-eu"))
    assert (eu.credentials.secrets, eu.credentials.username) == (("current-secret", "previous-secret"), "adobe")
    assert eu.account == Account(id="111", token="token-111", auth="bearer")
    options = eu.options
    assert (options.drip_provider, options.store_url, options.person_id) == ("my_store", "https://eu.example", "customer_id")
    assert (options.order_id, options.placeholder_image, options.fee_keys) == ("increment_id", "https://eu.example/none.png", ("handling",))
    assert options.order_url_template == "https://eu.example/o/{order_id}"
    assert options.custom_attributes == {"gift_message": "extension_attributes.gift_message"}
    assert (options.forward_test_orders, options.forward_child_orders, options.forward_unpaid) == (True, True, True)
    assert (options.ignore_orders_before, options.consent) == (datetime(2026, 1, 31, tzinfo=UTC), "ignore")
    assert (us.options.currency, us.credentials.header, us.account) == ("presentment", "X-Own", Account(id="9999999", token="key-of-drip"))
    return settings


def test_stores_may_be_given_as_text_or_as_a_path(environ: Environ, tmp_path: Path) -> None:
    environ(**DRIP, STORES=WHOLE)
    as_text = whole()
    (tmp_path / "stores.toml").write_text(WHOLE)
    for path in ("stores.toml", str(tmp_path / "stores.toml")):
        environ(STORES=path)
        assert whole() == as_text


def test_a_store_is_found_by_its_name_and_by_its_old_ones(environ: Environ) -> None:
    environ(**DRIP, STORES=WHOLE)
    settings = read_settings()
    assert [settings.store(name) for name in ("eu", "old-eu", "older-eu")] == [settings.stores["eu"]] * 3
    assert settings.store("nobody") is None


def test_addresses_may_be_given_by_store_view(environ: Environ) -> None:
    environ(
        STORES='[stores.m]\nprovider = "magento"\nsecret = "the-secret"\nstore_url = { 1 = "https://de.example", 2 = "https://fr.example" }'
    )
    assert read_settings().stores["m"].options.store_urls == {"1": "https://de.example", "2": "https://fr.example"}
    environ(STORES='[stores.m]\nprovider = "magento"\nsecret = "the-secret"\nstore_url = { 1 = "https://de.example", 2 = "fr.example" }')
    [problem] = problems()
    assert problem.startswith("STORES: stores.m.store_url: 2 ")


@pytest.mark.parametrize(
    "consent",
    [
        "send",
        "subscribed",
        "ignore",
        "meta_data.opt_in",
        "meta_data._wc_other/shop/opt-in",
        "note_attributes.Join our list",
        "email_opt_in",
    ],
)
def test_consent_is_a_fixed_answer_or_a_path(environ: Environ, consent: str) -> None:
    environ(STORES=EU + f'consent = "{consent}"')
    assert read_settings().stores["eu"].options.consent == consent


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("colour = 1", "colour"),
        ("username = 12", "username"),
        ("drip_account_id = 9999999", "drip_account_id"),
        ('aliases = "old"', "aliases"),
        ("aliases = [1]", "aliases.0"),
        ('forward_unpaid = "perhaps"', "forward_unpaid"),
        ('custom_attributes = ["a"]', "custom_attributes"),
        ('custom_attributes = { email = "x" }', "custom_attributes"),
        ('custom_attributes = { refund_amount = "x" }', "custom_attributes"),
        ('order_url_template = "https://x.example/{email}"', "order_url_template"),
        ('order_url_template = "https://x.example/{order_id"', "order_url_template"),
        ('order_url_template = "https://x.example/{}"', "order_url_template"),
        ('order_url_template = "/orders/{order_id}"', "order_url_template"),
        ('placeholder_image = "none.png"', "placeholder_image"),
        ('store_url = "ftp://x.example"', "store_url"),
        ("store_url = 12", "store_url"),
        ('currency = "EUR"', "currency"),
        ('consent = "maybe"', "consent"),
        ('consent = ""', "consent"),
        ('consent = "meta_data."', "consent"),
        ("consent = true", "consent"),
        ('drip_provider = "My-Store"', "drip_provider"),
        ('signature_header = "X Own"', "signature_header"),
        ('auth = "sorcery"', "auth"),
        ('ignore_orders_before = "yesterday"', "ignore_orders_before"),
        ('drip_account_id = "1"', "drip_api_key"),
        ('drip_api_key = "key-of-drip"', "drip_account_id"),
    ],
)
def test_an_invalid_option_of_a_store_is_named(environ: Environ, line: str, named: str) -> None:
    environ(STORES=EU + line)
    [problem] = problems()
    assert problem.startswith(f"STORES: stores.eu.{named}: ")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("forward_unpayed = true", "forward_unpayed: unknown option; did you mean `forward_unpaid`?"),
        ('Secret_Previous = "s"', "Secret_Previous: unknown option; did you mean `secret_previous`?"),
        ('url = "https://shop.example"', "url: unknown option; did you mean `api_url`?"),
        ("zzz = 1", "zzz: unknown option; docs/settings.md lists all of them"),
    ],
)
def test_an_unknown_option_is_refused_with_the_one_that_was_meant(environ: Environ, option: str, message: str) -> None:
    environ(STORES=EU + option)
    assert problems() == [f"STORES: stores.eu.{message}"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SHOPIFY_WEBHOOK_SECRET", "", "is blank, so anyone could forge webhooks; set the store's secret, or leave it out"),
        ("PORT", "x", "isn't a whole number"),
        ("PORT", "0", "isn't 1 to 65535"),
        ("BATCH_REQUESTS_PER_HOUR", "-1", "isn't 0 or more"),
        ("LOG_LEVEL", "LOUD", "isn't one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("DATABASE_URL", "mysql://u@h/d", "must begin with sqlite:/// or postgresql://"),
        ("STORES", "[stores.eu]\n= 1", "isn't valid TOML: Invalid statement (at line 2, column 1)"),
    ],
)
def test_a_problem_is_one_plain_sentence(environ: Environ, name: str, value: str, message: str) -> None:
    environ(**{name: value})
    assert problems() == [f"{name}: {message}"]


@pytest.mark.parametrize("name", ["EU", "e u", "", "-eu", "e/u"])
def test_a_stores_name_must_fit_into_a_webhook_address(environ: Environ, name: str) -> None:
    environ(STORES=f'[stores."{name}"]\nprovider = "shopify"\nsecret = "the-secret"')
    [problem] = problems()
    assert problem.startswith(f"STORES: stores.{name}: ")


def test_basic_authentication_needs_a_user_name(environ: Environ) -> None:
    environ(STORES='[stores.m]\nprovider = "magento"\nsecret = "the-secret"\nauth = "basic"\nstore_url = "https://m.example"')
    [problem] = problems()
    assert problem.startswith("STORES: stores.m.username: ")


def test_a_store_is_configured_in_one_place_only(environ: Environ) -> None:
    environ(SHOPIFY_WEBHOOK_SECRET="the-secret", STORES='[stores.shopify]\nprovider = "shopify"\nsecret = "the-secret"')
    [problem] = problems()
    assert problem.startswith("STORES: stores.shopify: ")
    assert "SHOPIFY_WEBHOOK_SECRET" in problem


def test_two_stores_whose_order_ids_would_collide_at_drip_are_refused(environ: Environ) -> None:
    other = WOO.replace("eu", "us")
    environ(**DRIP, STORES=WOO + other)
    [problem] = problems()
    assert problem.startswith("STORES: stores.us.drip_provider: ")
    environ(STORES=WOO + other + 'drip_provider = "us_store"')
    assert set(read_settings().stores) == {"eu", "us"}
    environ(STORES=WOO + other + 'drip_account_id = "2"\ndrip_api_key = "key-of-drip"')
    assert set(read_settings().accounts) == {"9999999", "2"}


@pytest.mark.parametrize("turned", [False, True])
def test_nor_may_two_platforms_share_a_drip_provider(environ: Environ, turned: bool) -> None:
    tables = [EU, WOO.replace("eu", "us") + 'drip_provider = "shopify"\n']
    environ(**DRIP, STORES="".join(reversed(tables) if turned else tables))
    [problem] = problems()
    assert ".drip_provider: " in problem


def test_two_shopify_stores_may_feed_one_account(environ: Environ) -> None:
    environ(**DRIP, STORES=EU + EU.replace("eu", "us"))
    settings = read_settings()
    assert settings.stores_of(settings.accounts["9999999"]) == list(settings.stores.values())


def test_one_account_has_one_token(environ: Environ) -> None:
    environ(**DRIP, SHOPIFY_WEBHOOK_SECRET="the-secret", STORES=EU + 'drip_account_id = "9999999"\ndrip_api_key = "another-key"')
    [problem] = problems()
    assert problem.startswith("STORES: stores.eu.drip_api_key: ")
    assert "DRIP_API_KEY" in problem


def test_a_name_belongs_to_one_store(environ: Environ) -> None:
    environ(STORES=EU + 'aliases = ["us"]\n' + EU.replace("eu", "us"))
    [problem] = problems()
    assert problem.startswith("STORES: stores.us: ")


# The database


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_scheme_for_postgresql_is_understood(environ: Environ, scheme: str) -> None:
    environ(DATABASE_URL=f"{scheme}://u:p%40ss@db.example:5432/inbox?sslmode=require", DYNO="web.1")
    assert read_settings().database_url == "postgresql+psycopg://u:p%40ss@db.example:5432/inbox?sslmode=require"


def test_a_malformed_database_address_is_reported_without_its_password(environ: Environ) -> None:
    environ(DATABASE_URL="postgres://u:hunter2@db.example:port/inbox")
    [problem] = problems(checks=CHECKS)
    assert problem.startswith("DATABASE_URL: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize("mark", ["DYNO", "K_SERVICE", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME"])
def test_sqlite_is_refused_where_the_disk_vanishes(environ: Environ, mark: str) -> None:
    environ(**{mark: "x"})
    [problem] = problems()
    assert problem.startswith("DATABASE_URL: ")
    assert "ALLOW_EPHEMERAL" in problem
    environ(ALLOW_EPHEMERAL="1")
    assert read_settings().database_url == "sqlite:///adapter.db"


def test_the_public_address_is_taken_from_herokus_metadata(environ: Environ) -> None:
    environ(HEROKU_APP_DEFAULT_DOMAIN_NAME="app-1234.herokuapp.com")
    assert read_settings().public_url == "https://app-1234.herokuapp.com"
    environ(PUBLIC_URL="https://adapter.example")
    settings = read_settings()
    assert (settings.public_url, settings.public_url_is_set) == ("https://adapter.example", True)


# The sandbox


def test_the_sandbox_opens_a_store_for_each_platform_and_takes_all_orders() -> None:
    settings = read_settings(sandbox=True, sandbox_url="http://127.0.0.1:1")
    assert {name: store.credentials.secrets for name, store in settings.stores.items()} == dict.fromkeys(PROVIDERS, ("sandbox",))
    assert list(settings.accounts) == ["sandbox"]
    assert (settings.drip_api_url, settings.sandbox) == ("http://127.0.0.1:1", True)
    assert "SHOPIFY_WEBHOOK_SECRET" in settings.stores["shopify"].secret_setting


def test_the_sandbox_takes_the_orders_of_the_configured_stores(environ: Environ) -> None:
    environ(SHOPIFY_WEBHOOK_SECRET="real-secret")
    [store] = read_settings(sandbox=True, sandbox_url="http://127.0.0.1:1").stores.values()
    assert store.credentials.secrets == ("real-secret",)
    assert store.account is not None
    assert store.account.id == "sandbox"


@pytest.mark.parametrize("name", ["DRIP_ACCOUNT_ID", "DRIP_API_KEY", "DRIP_ACCESS_TOKEN"])
def test_the_sandbox_is_refused_together_with_credentials_for_drip(environ: Environ, name: str) -> None:
    environ(**{name: "1"})
    [problem] = problems(sandbox=True)
    assert problem.startswith(f"{name}: ")


def test_the_sandbox_is_refused_together_with_a_stores_own_credentials(environ: Environ) -> None:
    environ(STORES=EU + 'drip_account_id = "1"\ndrip_api_key = "key-of-drip"')
    [problem] = problems(sandbox=True)
    assert problem.startswith("STORES: stores.eu.drip_account_id: ")


def test_no_repr_and_no_problem_contains_a_secret(environ: Environ) -> None:
    stores = (
        '[stores.eu]\nprovider = "shopify"\nsecret = "hush-hush-1"\nsecret_previous = "hush-hush-2"\n'
        'drip_account_id = "2"\ndrip_access_token = "hush-hush-3"\n'
    )
    environ(
        DRIP_ACCOUNT_ID="1",
        DRIP_API_KEY="hush-hush-4",
        WOOCOMMERCE_WEBHOOK_SECRET="hush-hush-5",
        METRICS_TOKEN="hush-hush-6",
        DATABASE_URL="postgres://u:hush-hush-7@db.example/d",
        STORES=stores,
    )
    settings = read_settings()
    shown = [repr(settings), str(settings), repr(settings.accounts), repr(settings.stores)]
    assert "eu" in shown[0]
    environ(PORT="x", STORES=stores + 'drip_api_key = "hush-hush-8"\ncolour = "hush-hush-9"')
    shown += problems()
    assert "hush" not in "\n".join(shown)


@pytest.mark.parametrize(
    ("name", "value", "url"),
    [
        ("RENDER_EXTERNAL_URL", "https://orders-1234.onrender.com", "https://orders-1234.onrender.com"),
        ("RAILWAY_PUBLIC_DOMAIN", "orders-1234.up.railway.app", "https://orders-1234.up.railway.app"),
        ("FLY_APP_NAME", "orders-1234", "https://orders-1234.fly.dev"),
    ],
)
def test_the_platforms_address_is_used_until_public_url_is_set(environ: Environ, name: str, value: str, url: str) -> None:
    environ(**{name: value}, ALLOW_EPHEMERAL="1")
    assert (read_settings().public_url, read_settings().public_url_is_set) == (url, True)
    environ(**{name: value}, ALLOW_EPHEMERAL="1", PUBLIC_URL="https://orders.example")
    assert read_settings().public_url == "https://orders.example"


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("a-password", "the key isn't 64 hexadecimal digits"),
        (f"{'0' * 64},", "key 2 of 2 isn't"),
        (f"{'0' * 63}, {'0' * 64}", "key 1 of 2 isn't"),
    ],
)
def test_a_key_that_cannot_be_used_leaves_nothing_unencrypted(environ: Environ, keys: str, why: str) -> None:
    environ(PAYLOAD_KEYS=keys)
    [problem] = [line for line in problems() if "PAYLOAD_KEYS" in line]
    assert why in problem
    assert "0000" not in problem


def test_the_first_key_encrypts_and_no_key_is_ever_printed(environ: Environ) -> None:
    environ(PAYLOAD_KEYS=f"{'ab' * 32}, {'cd' * 32}")
    assert read_settings().payload_keys == (b"\xab" * 32, b"\xcd" * 32)
    assert "payload_keys" not in repr(read_settings())
