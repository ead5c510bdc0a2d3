"""The documents say what is so: nothing that can be set or met is unexplained, and nothing that they name is missing."""

import ast
import html
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

import mappings
from adapter import settings
from adapter.settings.environment import _EPHEMERAL_MARKS, _PLATFORM_URLS
from mappings import PROVIDERS, Context, Options, Provider, Reason, encode, outcomes
from mappings.core.fields import MISSING
from tests.support.commands import COMMANDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
WITH_COMMANDS = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
# Read in loops over names that are explained together with ALLOW_EPHEMERAL, or that stand elsewhere in the module as constants.
DYNAMIC = {"mark", "name"}
# The only hosts that a document may name, beside invented ones: what a reader can reach, and no mirror of somebody's machine.
HOSTS = {
    "www.drip.com",
    "help.drip.com",
    "api.getdrip.com",
    "api.bigcommerce.com",
    "www.heroku.com",
    "www.herokucdn.com",
    "github.com",
    "pipx.pypa.io",
    "keepachangelog.com",
    "semver.org",
    "127.0.0.1",
    "localhost",
    "adapter.db",
}
INVENTED = re.compile(r"SHOP\.myshopify\.com|YOUR-APP[\w.-]*|([\w-]+\.)+example|HOST")


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def headings(text: str) -> list[str]:
    return re.findall(r"^#{1,6} (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)


def options_explained() -> set[str]:
    return {match[1] for heading in headings(text_of("docs/settings.md")) if (match := re.fullmatch(r"`(\w+)`", heading))}


def environment_names() -> set[str]:
    """Every name that the settings read from the environment: as `env.str("NAME")`, or by a helper that takes `(env, "NAME")`."""
    names: set[str] = set()
    rooms = (path.read_text(encoding="utf-8") for path in (ROOT / "adapter" / "settings").glob("*.py"))
    for call in (node for room in rooms for node in ast.walk(ast.parse(room))):
        if not isinstance(call, ast.Call):
            continue
        function, arguments = call.func, call.args
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "env":
            if function.attr != "seal":
                names |= set(_names(arguments[0]))
        elif (
            len(arguments) > 1
            and isinstance(arguments[0], ast.Name)
            and arguments[0].id == "env"
            and isinstance(arguments[1], ast.Constant)
        ):
            names |= set(_names(arguments[1]))
    names |= set(_PLATFORM_URLS)
    return names | {f"{provider.name.upper()}_{key.upper()}" for provider in PROVIDERS.values() for key in provider.api_settings}


def _names(argument: ast.expr) -> Iterator[str]:
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.JoinedStr):
        pattern = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in argument.values)
        yield from (pattern.format(provider.upper()) for provider in PROVIDERS)
    else:
        assert isinstance(argument, ast.Name), ast.dump(argument)
        assert argument.id in DYNAMIC, f"the settings read a name that this test cannot tell: {argument.id}"


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_setting_has_a_heading() -> None:
    names = environment_names()
    assert {"DRIP_ACCOUNT_ID", "DATABASE_URL", "PORT", "STORES", "MAGENTO_STORE_URL"} <= names, "the search finds nothing"
    assert names - options_explained() == set()


def test_every_option_of_a_store_has_a_heading() -> None:
    assert set(settings.StoreTable().fields) - options_explained() == set()


def test_no_heading_explains_what_cannot_be_set() -> None:
    assert options_explained() - environment_names() - set(_PLATFORM_URLS) - set(settings.StoreTable().fields) == set()


@pytest.mark.parametrize("names", [_EPHEMERAL_MARKS, tuple(_PLATFORM_URLS)], ids=["marks of a vanishing disk", "public addresses"])
def test_what_platforms_set_is_named(names: tuple[str, ...]) -> None:
    text = text_of("docs/settings.md")
    assert [name for name in names if f"`{name}`" not in text] == []


def test_app_json_asks_only_for_settings_that_exist() -> None:
    app = json.loads(text_of("app.json"))
    assert set(app["env"]) <= environment_names()
    assert {"ADMIN_PASSWORD", "SECRET_KEY", "METRICS_TOKEN", "ALERT_URL", "SENTRY_DSN"} <= set(app["env"])
    assert all(entry["description"] for entry in app["env"].values())
    assert {line.partition(":")[0] for line in text_of("Procfile").splitlines()} >= set(app["formation"])


def test_every_reason_is_explained() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", text_of("docs/operating.md").partition("## Reasons")[2].partition("\n## ")[0], re.MULTILINE))
    assert rows == {str(reason) for reason in Reason}


def test_every_field_of_a_provider_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text_of("docs/adding-a-provider.md"), re.MULTILINE)
    assert rows == [field.name for field in fields(Provider)]


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.name)
def test_every_command_exists(path: Path) -> None:
    for line in re.findall(r"(?:drip-adapter|python -m adapter) ([^`\n]+)", path.read_text(encoding="utf-8")):
        words = re.split(r"[#|>]", line)[0].split()
        named: tuple[str, ...] = ()
        while words and isinstance(COMMANDS[named], click.Group) and re.fullmatch(r"[a-z]+", words[0]):
            named, words = (*named, words[0]), words[1:]
            assert named in COMMANDS, f"{path.name}: there is no command {line!r}"
        command = COMMANDS[named]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--app"}
        assert {word for word in words if word.startswith("--")} <= known, f"{path.name}: {line!r}"


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.name)
def test_commands_that_no_test_can_run_are_marked_with_what_they_need(path: Path) -> None:
    run_here = re.compile(r"(\.venv/bin/|drip-adapter |make |export |eval |_DRIP_ADAPTER_COMPLETE)")
    for section in re.split(r"^#+ ", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        lines = [line for block in code_blocks(section, "sh") for line in block.splitlines() if line.strip()]
        elsewhere = [line for line in lines if not run_here.match(line)]
        assert not elsewhere or re.search(r"\*[^*]* needs? (an account|Docker|root)\b[^*]*\*", section), f"{path.name}: {elsewhere[0]}"


def test_every_command_of_the_command_line_stands_in_the_documents() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert [path for path, command in COMMANDS.items() if len(path) == 1 and not command.hidden and f"`{path[0]}`" not in texts] == []


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.name)
def test_every_make_target_exists(path: Path) -> None:
    makefile = text_of("Makefile")
    targets = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE), ".venv/ready", ".venv/ready-dev"}
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"^make (\S+)", "".join(code_blocks(text, "sh")), re.MULTILINE) + re.findall(r"`make ([^`\s]+)`", text)
    assert set(named) <= targets
    assert {"demo", "test"} <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, part = target.partition("#")
        led_to = (path.parent / file).resolve() if file else path
        assert led_to.is_file(), f"{path.name}: {target}"
        if not part:
            continue
        anchors = {anchor(heading) for heading in headings(led_to.read_text(encoding="utf-8"))}
        assert part in anchors, f"{path.name}: {target}"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_paths_exist(document: str) -> None:
    paths = re.findall(r"(?<![\w/.<-])((?:adapter|fixtures|docs|mappings|tests)/[\w./<>-]*)", text_of(document))
    assert len(paths) > 3, "the search finds nothing"
    for path in paths:
        for platform in PROVIDERS:
            concrete = path.rstrip(".").replace("<platform>", platform).partition("<")[0]
            assert (ROOT / concrete).exists(), concrete


@pytest.mark.parametrize("package", ["adapter", "mappings"])
def test_each_package_says_what_belongs_there_and_what_does_not(package: str) -> None:
    files = sorted((ROOT / package).rglob("__init__.py"))
    assert len(files) > 3
    docstrings = {
        str(file.parent.relative_to(ROOT)): ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files
    }
    assert [name for name, docstring in docstrings.items() if len(re.findall(r"\.(?=\s|$)", docstring)) < 2] == []


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "app.json", ROOT / "Makefile"], ids=lambda path: path.name)
def test_documents_name_only_hosts_meant_for_the_reader(path: Path) -> None:
    named = re.findall(r"\w+:///?(?:[^\s/@]+@)?([\w-]+(?:\.[\w-]+)*)", path.read_text(encoding="utf-8"))
    assert [host for host in named if host not in HOSTS and not INVENTED.fullmatch(host)] == []


def test_the_documents_become_a_site_without_a_dead_link_or_a_page_that_is_not_listed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\nEach page of docs/ needs a line in mkdocs.yml."
    assert (tmp_path / "search" / "search_index.json").is_file()


def test_the_tables_of_stores_in_the_documents_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [block for path in DOCUMENTS for block in code_blocks(path.read_text(encoding="utf-8"), "toml")]
    assert len(tables) >= 2
    for table in tables:
        monkeypatch.setenv("STORES", table.replace('"..."', '"the-secret"'))
        assert settings.read_settings().stores


def test_the_example_of_a_provider_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of("docs/adding-a-provider.md")
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").write_text(code_blocks(text, "python")[0], encoding="utf-8")
    monkeypatch.setattr(mappings, "__path__", [*mappings.__path__, str(tmp_path)])
    provider: Provider = importlib.import_module("mappings.acme").PROVIDER
    sys.modules.pop("mappings.acme")
    payload = code_blocks(text, "json")[0].encode()
    context = Context(
        topic="order.paid", received_at=datetime(2026, 5, 1, 10, 1, tzinfo=UTC), options=Options(public_url="https://a.example")
    )
    [body] = (json.loads(encode(outcome)) for outcome in outcomes(provider, payload, context))
    assert (body["provider"], body["order_id"], body["email"], body["grand_total"]) == ("acme", "17", "ada@example.com", 59.8)
    assert [(item["name"], item["total"], item["image_url"]) for item in body["items"]] == [
        ("Mug & lid", 54.9, "https://acme-shop.example/mug.jpg")
    ]
    assert outcomes(provider, payload.replace(b'"paid"', b'"open"'), context) == [{"skipped": "unpaid"}]
    assert outcomes(provider, b"{}", context) == [{"skipped": "not_an_order"}]
    assert outcomes(provider, payload.replace(b'"id": 17', b'"id": null'), context) == [{"rejected": {"id": [MISSING]}}]


def test_the_template_for_magento_gives_an_order() -> None:
    [template] = code_blocks(text_of("docs/magento-mageplaza-template.md"), "liquid")
    order = {
        "entity_id": "17", "increment_id": "000000017", "store_id": "1", "state": "processing", "status": "processing",
        "created_at": "2026-05-01 10:00:00", "updated_at": "2026-05-01 10:00:05", "customer_email": "ada@example.com",
        "order_currency_code": "EUR", "grand_total": "58.0000", "subtotal": "50.0000", "tax_amount": "8.0000",
    }  # fmt: skip
    lines = [
        {"item_id": "1", "product_id": "5", "product_type": "configurable", "sku": "T-S", "name": '12" shirt', "price": "25.0000",
         "qty_ordered": "2.0000", "tax_amount": "8.0000"},
        {"item_id": "2", "parent_item_id": "1", "product_id": "6", "product_type": "simple", "sku": "T-S", "name": "shirt S",
         "price": "0.0000", "qty_ordered": "2.0000"},
    ]  # fmt: skip
    context = Context(
        received_at=datetime(2026, 5, 1, tzinfo=UTC), options=Options(store_url="https://s.example", public_url="https://a.example")
    )
    [body] = (json.loads(encode(each)) for each in outcomes(PROVIDERS["magento"], rendered(template, order, lines), context))
    assert (body["order_id"], body["email"], body["grand_total"], body["total_taxes"]) == ("17", "ada@example.com", 58, 8)
    assert [(item["name"], item["product_variant_id"], item["total"]) for item in body["items"]] == [('12" shirt', "6", 50)]


def rendered(template: str, order: dict[str, str], lines: list[dict[str, str]]) -> bytes:
    """What Liquid would make of the template, as far as the template goes: values, `escape`, one loop, a comma between."""
    before, loop, after = re.split(r"{% for product in item\.items %}|{% endfor %}", template)
    each = [_filled(loop, "product", line) for line in lines]
    each = [re.sub(r"{% unless forloop\.last %}(.*?){% endunless %}", "" if row is each[-1] else r"\1", row) for row in each]
    result = _filled(before, "item", order) + "".join(each) + after
    assert "{{" not in result
    assert "{%" not in result
    return result.encode()


def _filled(text: str, name: str, values: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[1], "")
        return html.escape(found) if match[2] else found

    return re.sub(rf"{{{{ {name}\.(\w+)( \| escape)? }}}}", value, text)


def test_the_worked_example_of_a_refund_is_what_the_fixture_contains() -> None:
    folder = ROOT / "fixtures" / "shopify" / "refund-partial"
    payload, body = (json.loads((folder / name).read_bytes(), parse_float=str, parse_int=str) for name in ("payload.json", "drip.json"))
    sections = text_of("docs/deciding.md").partition("**Example: a refund.**")[2].partition("```")[0]
    rows = re.findall(r"^\| ([\w ]+) \| (.+) \| (.+) \|$", sections, re.MULTILINE)
    assert len(rows) == 6, "the search finds nothing"
    lines = {line["title"]: line for line in payload["line_items"]}
    items = {item["name"]: item for item in body["items"]}
    for name, came, went in rows:
        for fields_of, text in ((lines.get(name, payload), came), (items.get(name, body), went)):
            for field, value in re.findall(r"`(\w+)` ([\d.]+)", text):
                assert float(fields_of[field]) == float(value), (name, field)
    assert set(lines) - set(items) == {name for name, _, went in rows if went == "not sent"}


def test_the_examples_of_orders_that_are_not_sent_are_what_the_fixtures_contain() -> None:
    rows = re.findall(r"^\| `fixtures/([\w/-]+)`.* \| `(\w+)`", text_of("docs/deciding.md"), re.MULTILINE)
    assert len(rows) == 5
    for name, reason in rows:
        assert json.loads((ROOT / "fixtures" / name / "skipped.json").read_bytes()) == {"skipped": reason}
