"""`connect`: the webhooks at a store."""

import secrets
import string

import click

from adapter.cli import completion
from adapter.cli.exit_status import confirmed, explained
from adapter.cli.inbox import open_inbox
from adapter.cli.startup import current_settings
from adapter.cli.text import say
from adapter.errors import AdapterError, SettingsError, WorkFailed
from adapter.operations.webhooks import experience_of
from adapter.settings import Settings, Store
from adapter.stores import registration
from adapter.stores.api import Registry
from adapter.stores.http import StoreTrouble
from adapter.stores.platforms import registry_of
from adapter.stores.registration import Fault, Step, Work
from mappings import PROVIDERS, SEND, Provider

_SECRET_LENGTH = 40


@click.command("connect")
@click.argument("store", shell_complete=completion.stores_and_platforms)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@explained
def command(store: str, dry_run: bool, yes: bool) -> None:
    """Register the webhooks at a store.

    With credentials for the store's API it shows which webhooks are missing or wrong, asks, and fixes them. Without, it prints what to do
    by hand. It also replaces webhooks that look right but whose deliveries show that they are not. STORE is the name of a configured
    store, or a platform: shopify, woocommerce, magento or bigcommerce.
    """
    settings = current_settings()
    configured = settings.store(store)
    try:
        registry = registry_of(configured, settings) if configured else None
        if configured is None or registry is None:
            _print_instructions(store, configured, settings)
        else:
            _register(configured, registry, settings, dry_run=dry_run, yes=yes)
        _explain_consent(configured.provider if configured else PROVIDERS[store], configured)
    except StoreTrouble as trouble:
        raise WorkFailed(str(trouble)) from trouble


def _register(store: Store, registry: Registry, settings: Settings, *, dry_run: bool, yes: bool) -> None:
    address = registration.address_of(store.name, settings)
    if not settings.public_url_is_set:
        raise SettingsError(f"PUBLIC_URL: not set, so webhooks would go to {address}, which no store can reach; set this adapter's address")
    steps = registration.plan(store, registry, settings, _fault(store, registry, settings))
    say(f"webhooks of store {store.name} to {address}")
    for step in steps:
        say(f"  {step.work:6} {step.topic}: {step.why}")
    todo = [step for step in steps if step.work is not Work.KEEP]
    if not dry_run:
        registration.require_reachable(store.name, settings)
    if not todo:
        say("Nothing to do.")
        return
    if dry_run or not (yes or confirmed("Make these changes?")):
        say("Nothing was changed.")
        return
    for step in todo:
        registration.carry_out(step, registry, address)
    _confirm(store, registry, settings, todo)


def _fault(store: Store, registry: Registry, settings: Settings) -> Fault | None:
    """What the deliveries show; nothing where there is no database yet."""
    try:
        with open_inbox(settings) as engine:
            return experience_of(engine, store, registry).fault
    except AdapterError:
        return None


def _confirm(store: Store, registry: Registry, settings: Settings, done: list[Step]) -> None:
    """Look again: what a store accepted is not always what it did."""
    left = [step for step in registration.plan(store, registry, settings) if step.work is not Work.KEEP]
    if left:
        raise WorkFailed("the store accepted the changes, but still: " + "; ".join(f"{step.topic} {step.why}" for step in left))
    say(f"Done: {len(done)} changed. Every topic has one active webhook to this adapter.")
    if key := registration.platform_named(store.name, settings).signed_with:
        say(f"{store.provider.title} signs them with {key}: set {store.secret_setting} to it.")


def _print_instructions(name: str, store: Store | None, settings: Settings) -> None:
    platform = registration.platform_named(name, settings)
    address = registration.address_of(store.name if store else name, settings)
    secret = f"the value of {store.secret_setting}" if store else _new_secret()
    for line in platform.by_hand(address, secret):
        say(line)
    if not settings.public_url_is_set:
        say(f"note: PUBLIC_URL is not set; replace {settings.public_url} with this adapter's public address")
    if store is None and name in PROVIDERS:
        say(f"Then set {name.upper()}_WEBHOOK_SECRET to the secret, and restart the adapter.")
    elif platform.credentials:
        say(f"To let this command do it, set {' or '.join(platform.credentials)}.")


def _explain_consent(provider: Provider, store: Store | None) -> None:
    if provider.reports_consent or (store and store.options.consent != SEND):
        return
    say(
        f"Consent: Drip subscribes new people unless told otherwise, and {provider.title} orders don't contain the shopper's choice. "
        "So new people start unsubscribed. To subscribe those who opt in at checkout, set the store's consent to the field of that "
        "checkbox, such as meta_data.newsletter_opt_in; see Consent in docs/stores.md."
    )


def _new_secret() -> str:
    """Letters and digits only: some platforms change anything else."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(_SECRET_LENGTH))
