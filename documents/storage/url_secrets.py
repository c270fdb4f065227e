"""Removing secrets from URLs: user names, passwords, and the signatures and tokens in queries."""

import re
from urllib.parse import unquote

OBJECT_STORES = {"gs": "gs", "s3": "s3", "s3a": "s3", "s3n": "s3"}
"""Schemes of buckets, each with its canonical form. Everything after the bucket is a name."""
NAMED_USER = ("ssh", "git+ssh", "sftp", "abfs", "abfss", "wasb", "wasbs")
"""Schemes whose user name says where to log in, and is no secret. In Azure's it is the container of a file."""

# Signatures of Google and Amazon (version 4), and names of other credentials:
# https://cloud.google.com/storage/docs/authentication/signatures
SECRET = re.compile(
    r"x-(goog|amz)-.*|sig|sas|jwt|auth|authorization|passphrase|passwd|pwd"
    r"|.*(signature|token|password|secret|credential|(api|access|private|secret|subscription)[-_]?key)"
)
# Version 2 of Google's and Amazon's signatures, CloudFront, and shared access signatures of Azure (`se`, `sp`, ...).
SIGNATURE_PARAMETER = re.compile(
    r"googleaccessid|awsaccesskeyid|expires|policy|key-pair-id|hash-algorithm"
    r"|s[etprviks]|ss|srt|spr|sip|sdd|ske|sks|skt|skv|skoid|sktid|saoid|suoid|scid"
)


def without_secrets(url: str) -> str:
    """The URL without user, password and credentials in its query or fragment; otherwise unchanged.

    Names of objects in buckets are left alone, as every character in them belongs to the name.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    user, at, host = authority.rpartition("@")
    if scheme.lower() in NAMED_USER:
        host = f"{user.partition(':')[0]}{at}{host}"
    if scheme.lower() not in OBJECT_STORES:
        tail = _clean_tail(tail)
    return f"{scheme}://{host}{tail}"


def _clean_tail(tail: str) -> str:
    """Path, query and fragment without secrets."""
    head, _, fragment = tail.partition("#")
    path, _, query = head.partition("?")
    query, fragment = _parameters(query), _parameters(fragment)
    return path + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")


def _parameters(query: str) -> str:
    """The parameters that grant no access."""
    pairs = [(pair, unquote(pair.partition("=")[0]).lower()) for pair in query.split("&")]
    signed = any(name in ("sig", "signature") for _, name in pairs)
    return "&".join(
        pair
        for pair, name in pairs
        if not ("=" in pair and (SECRET.fullmatch(name) or (signed and SIGNATURE_PARAMETER.fullmatch(name))))
    )
