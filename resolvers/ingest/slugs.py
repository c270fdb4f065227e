"""Names made fit to be keys: the same words give the same key, however they were typed."""

import hashlib
import re
import unicodedata
from urllib.parse import urlsplit

MAX_LENGTH = 120

EXTENSIONS = re.compile(r"(\.csv-metadata-schema|\.csv-metadata|\.table|\.schema|\.csv|\.json)+$", re.IGNORECASE)


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, empty when the text has no letter or digit.

    Accents and apostrophes go, letters of other scripts stay. Beyond 120 characters the rest becomes a short hash,
    so that long names which begin alike stay apart.
    """
    decomposed = unicodedata.normalize("NFKD", text.encode("utf-8", "ignore").decode())
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter) and letter not in "'’‘`´")
    words = "-".join(re.findall(r"[^\W_]+", bare.casefold()))
    if len(words) <= MAX_LENGTH:
        return words
    return f"{words[: MAX_LENGTH - 9]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def file_slug(url: str) -> str:
    """The slug of the file that a URL or a path ends in, without what stands behind `?` and `#` and its extension."""
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    return slug(EXTENSIONS.sub("", path.rstrip("/").rpartition("/")[2]))


def web_address(text: str) -> str | None:
    """An http or https address freed of stray quotes, with scheme and host in lower case; None for anything else."""
    stripped = text.strip(" \t\r\n`'\"<>")
    try:
        parts = urlsplit(stripped)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"\s", stripped):
        return None
    return parts._replace(netloc=parts.netloc.lower()).geturl()
