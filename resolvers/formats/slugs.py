"""Names normalised to keys: equal words give equal keys, whatever their case, accents and punctuation."""

import hashlib
import re
import unicodedata
from urllib.parse import quote, unquote, urlsplit

MAX_LENGTH = 120

EXTENSIONS = re.compile(r"(\.csv-metadata-schema|\.csv-metadata|\.table|\.schema|\.csv|\.json)+$", re.IGNORECASE)

UNRESERVED = "!$&'()*+,;=:@"
"""Characters that are not encoded in paths of URLs, besides letters, digits and "-._~" (RFC 3986, section 3.3)."""


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, empty when the text has no letter or digit.

    Accents and apostrophes are removed, letters of other scripts are kept. The rest of a text beyond 120 characters is
    replaced by a short hash, so that long names with the same beginning stay different.
    """
    decomposed = unicodedata.normalize("NFKD", text.encode("utf-8", "ignore").decode())
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter) and letter not in "'’‘`´")
    words = "-".join(re.findall(r"[^\W_]+", bare.casefold()))
    if len(words) <= MAX_LENGTH:
        return words
    return f"{words[: MAX_LENGTH - 9]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def file_slug(url: str) -> str:
    """The slug of the file at the end of a URL or path, without extension and without the part after `?` or `#`.

    Percent-encoding is undone, so that `my%20data.csv` and `my data.csv` are one file.
    """
    return slug(EXTENSIONS.sub("", unquote(_file_name(url))))


def encoded_file_slug(url: str) -> str:
    """The slug of a file's percent-encoded name, by which earlier releases named datasets."""
    return slug(EXTENSIONS.sub("", quote(unquote(_file_name(url)), safe=UNRESERVED, errors="replace")))


def document_slug(path: str) -> str:
    """The slug of a whole path to a CSV-W document, without its extension."""
    return slug(re.sub(r"(\.csv-metadata)?\.json$", "", unquote(path)))


def _file_name(url: str) -> str:
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    return path.rstrip("/").rpartition("/")[2]


def web_address(text: str) -> str | None:
    """An http or https address without stray quotes, with scheme and host in lower case; None for anything else."""
    stripped = text.strip(" \t\r\n`'\"<>")
    try:
        parts = urlsplit(stripped)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"\s", stripped):
        return None
    return parts._replace(netloc=parts.netloc.lower()).geturl()
