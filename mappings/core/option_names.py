"""What the name of an option reveals about its value, in the languages in which stores write their labels.

Plugins' own names show what to look for: PW Gift Cards has `pw_gift_card_number`, `_to`, `_from` and `_message`, WooCommerce Gift Cards
`wc_gc_giftcard_code`, `_to_multiple` and `_message`, shown as "Code", "To" and "Message"; Shopify's own themes ask for "Recipient email",
"Recipient name" and "Message".
"""

import re
import unicodedata
from functools import lru_cache

# A longer name is no label: it counts as private.
_LONGEST = 255
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_PEOPLE = _any_of(
    r" recipients?| receivers? |beneficiar|empfanger|empfaenger|destinata|ontvanger|mottaga?r|modtager|mottaker|odbiorc",
    r" senders?| absender|expediteur|remitente|mittente|remetente|afzender|avsandar|afsender|avsender|nadawc",
    r" (?:to|from|cc|bcc|von|para) $|^ an $| (?:to|from) (?:multiple|address|whom|first|last|names?|emails?) ",
    r" (?:to|from|sender|gift|first|last|full|family|middle|sur|guest|attendee|participant|passenger|friends?) ?names? ",
    r" (?:vor|nach)namen? | prenoms? | attendee | participant | passenger | teilnehmer ",
    r" emails?(?: |add|adr)|[a-z]email | e mails? | mail (?!box|order)| courriel| correo ",
    r" address| adress|anschrift | direccion | indirizzo | endereco | adres | street |strasse | zip ?codes? | post ?codes? | postal ",
    r" date of birth | birth ?date | dob | geburtsdatum | passport | ssn | iban | bic | tax id | vat (?:id|no|number) ",
)
_WRITTEN = _any_of(
    r" messages? | msg |nachricht|botschaft|grusstext| mensa(?:je|gem) | messaggio | boodschap | bericht | meddelande | besked | melding ",
    r" wiadomosc | greetings? | dedications? | widmung | dedicaces? ",
    r" note $| (?:gift|order|delivery|personal|customer) notes? | comments? | kommentare? | commentaires? | remarks? ",
    r" (?:special|delivery|order|gift) (?:instructions?|requests?) ",
    r" uploads? | uploaded | attachments? | ur[li]s? | href | (?:file|download|image|photo|video|share|web) ?links? | file ?names? ",
    r" downloads? $",
)
_NUMBER = r"(?:codes?|numbers?|no|nr|num|nummers?|numeros?|keys?|ids?|pins?|schlussel|cle|clave|chiave|sleutel|nyckel)"
_SECRETS = _any_of(
    r" tokens? | nonce | secrets? | passwor[dt]s? | passwd | pass ?(?:code|phrase)s? | otp | cv[vc] | uuid | guid | hash ",
    r"^ pin $| pin ?(?:codes?|numbers?|no|nr) ",
    rf" (?:licen[sc]e|lizenz|licenza|licencia|licentie)s? ?{_NUMBER} | serials? $| serial ?{_NUMBER} | serien ?nummer ",
    r" activation|aktivierung| redeem| redemption |einlos",
    r" (?:access|api|cd|download|order|private|product|public|purchase|registration|secret|unlock) ?keys? ",
    r"^ codes? $|(?:access|booking|coupon|discount|download|entry|gift|qr|security|ticket|unlock|your) ?codes? ",
    r"(?:promo|promotion|promotional|rabatt|aktions) ?codes? ",
)
_GIFT_CARD = _any_of(
    r"gift ?(?:cards?|vouchers?|certificates?|coupons?|codes?) ?| vouchers?| store credit |gutschein|geschenk ?karte|carte ?cadeau"
    r"|cheque ?cadeau|bon ?cadeau|tarjeta ?(?:de ?)?regalo|cadeau ?(?:bon|kaart)|presentkort|gavekort|buono ?regalo|carta ?regalo"
    r"|cartao ?presente|podarunkow"
)
# Properties of a gift card that are not secret.
_OF_A_GIFT_CARD = _any_of(
    r" (?:amounts?|values?|denominations?|designs?|types?|styles?|formats?|themes?|occasions?|colou?rs?|sizes?|templates?) $",
    r"(?:wert|betrag|motiv) $| (?:montant|importe|importo|valor|bedrag|belopp|belob) ",
)
_CONTACT = _any_of(r" (?:tele)?phones? | tel | telefoon| telefon| fax | whats ?app | contact | kontakt ")
_ARTICLE = _any_of(
    r" sku | ean | gtin | isbn | upc | mpn | asin | bar ?codes? | article | artikel|art (?:no|nr) | models? | ref | reference ",
    r" (?:item|part|style|product|colou?r|pattern) (?:no|nr|number|code) ",
)


def names_private(name: str) -> bool:
    """Whether a name stands for a person's name or address, for text or files from a person, or for something that can be redeemed."""
    if len(name) > _LONGEST:
        return True
    words = _words(name)
    if _GIFT_CARD.search(words) and not _OF_A_GIFT_CARD.search(words):
        return True
    return any(pattern.search(words) for pattern in (_PEOPLE, _WRITTEN, _SECRETS))


def names_contact(name: str) -> bool:
    """Whether a name may stand for contact data. It may also be about the product: `Phone: iPhone 15`."""
    return len(name) > _LONGEST or bool(_CONTACT.search(_words(name)))


def names_article(name: str) -> bool:
    """Whether a name stands for an article number."""
    return len(name) <= _LONGEST and bool(_ARTICLE.search(_words(name)))


# Each name is judged in several ways.
@lru_cache(maxsize=64)
def _words(name: str) -> str:
    """The words of a name in lower case and without accents, each between spaces."""
    folded = unicodedata.normalize("NFKD", _CAMEL.sub(" ", name).lower().replace("\u00df", "ss"))
    letters = "".join(character for character in folded if not unicodedata.combining(character))
    return f" {' '.join(_WORD.findall(letters))} "
