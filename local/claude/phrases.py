"""Translations as the emulator makes them: of a few sentences real ones, of any other the text under the language's name."""

from __future__ import annotations

import re

_LANGUAGES = {
    "arabic": "ar",
    "chinese": "zh",
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "hebrew": "he",
    "italian": "it",
    "japanese": "ja",
    "portuguese": "pt",
    "spanish": "es",
}
# By language; the same place is the same sentence.
_PHRASEBOOK = {
    "en": (
        "Thank you very much!",
        "Good morning.",
        "Your order has been shipped.",
        "Where is my parcel?",
        "The library opens at nine.",
        "Two tickets to Cairo, please.",
        "This product is not available in your country.",
        "Your code is 4711. It is valid for 10 minutes.",
        "Do not put the cable in water.",
        "How much does it cost?",
    ),
    "de": (
        "Vielen Dank!",
        "Guten Morgen.",
        "Ihre Bestellung wurde versandt.",
        "Wo ist mein Paket?",
        "Die Bibliothek öffnet um neun.",
        "Zwei Fahrkarten nach Kairo, bitte.",
        "Dieses Produkt ist in Ihrem Land nicht verfügbar.",
        "Ihr Code ist 4711. Er gilt 10 Minuten.",
        "Legen Sie das Kabel nicht ins Wasser.",
        "Wie viel kostet das?",
    ),
    "fr": (
        "Merci beaucoup !",
        "Bonjour.",
        "Votre commande a été expédiée.",
        "Où est mon colis ?",
        "La bibliothèque ouvre à neuf heures.",
        "Deux billets pour Le Caire, s'il vous plaît.",
        "Ce produit n'est pas disponible dans votre pays.",
        "Votre code est 4711. Il est valable 10 minutes.",
        "Ne mettez pas le câble dans l'eau.",
        "Combien ça coûte ?",
    ),
    "es": (
        "¡Muchas gracias!",
        "Buenos días.",
        "Su pedido ha sido enviado.",
        "¿Dónde está mi paquete?",
        "La biblioteca abre a las nueve.",
        "Dos billetes a El Cairo, por favor.",
        "Este producto no está disponible en su país.",
        "Su código es 4711. Es válido durante 10 minutos.",
        "No ponga el cable en agua.",
        "¿Cuánto cuesta?",
    ),
    "ar": (
        "شكرًا جزيلًا!",
        "صباح الخير.",
        "تم شحن طلبك.",
        "أين طردي؟",
        "تفتح المكتبة في التاسعة.",
        "تذكرتان إلى القاهرة من فضلك.",
        "هذا المنتج غير متوفر في بلدك.",
        "رمزك هو 4711. صالح لمدة 10 دقائق.",
        "لا تضع الكابل في الماء.",
        "كم السعر؟",
    ),
    "he": (
        "תודה רבה!",
        "בוקר טוב.",
        "ההזמנה שלך נשלחה.",
        "איפה החבילה שלי?",
        "הספרייה נפתחת בתשע.",
        "שני כרטיסים לקהיר, בבקשה.",
        "המוצר הזה אינו זמין בארצך.",
        "הקוד שלך הוא 4711. הוא תקף ל-10 דקות.",
        "אין להכניס את הכבל למים.",
        "כמה זה עולה?",
    ),
}
_SCRIPTS = (
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("de", re.compile(r"(?i)[äöüß]|\b(der|die|das|und|ist|nicht)\b")),
    ("es", re.compile(r"(?i)[ñ¿¡]|\b(el|los|las|es|muy|y)\b")),
    ("fr", re.compile(r"(?i)[çœàù]|\b(le|les|est|et|très|pas)\b")),
)
_READ = 2_000  # characters that are looked at
_INTO = re.compile(r"(?i)\b(?:in)?to ([a-z]+)\b")


def language_of(text: str) -> str:
    """The code of the language of a text, by its script or a few of its words; English is what is left."""
    return next((code for code, script in _SCRIPTS if script.search(text[:_READ])), "en")


def target(instruction: str) -> str | None:
    """The code of the language that an instruction asks for."""
    return next((_LANGUAGES[word.lower()] for word in _INTO.findall(instruction) if word.lower() in _LANGUAGES), None)


def translated(text: str, into: str) -> str:
    """The text in the language that ``into`` names, as a code (``de``, ``translation_de``) or by name; English is usual."""
    parts = re.findall(r"[a-z]+", into.lower())
    code = next((part for part in parts if part in _PHRASEBOOK), None)
    code = code or next((_LANGUAGES[part] for part in parts if part in _LANGUAGES), "en")
    whole = text.strip()
    for sentences in _PHRASEBOOK.values():
        if whole in sentences and code in _PHRASEBOOK:
            return _PHRASEBOOK[code][sentences.index(whole)]
    return f"[{code}] {whole}"
