"""The normal form of a repository's address, by which code is compared and found."""

import re

WEB_SCHEMES = {"http", "https"}
GIT_SCHEMES = {*WEB_SCHEMES, "ssh", "git"}
"""Schemes of git: https://git-scm.com/docs/git-clone#_git_urls. `git+` before them and `+git` behind mean the same."""
DEFAULT_PORTS = {"", "80", "443"}
SCP_LIKE = re.compile(r"[^@:/\s]+@([^@:/\s]+):(.+)", re.DOTALL)
"""Such as git@host:owner/name.git."""
HOST = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?(?::[0-9]+)?", re.ASCII)
AUTHORITY = re.compile(r"(?:.*@)?(\[[^\]]*\]|[^:]*):?([0-9]*)", re.DOTALL)


def repository_url(address: str) -> str:
    """The normal form of a repository's address, `https://host/owner/name` however it is spelled.

    The scheme is https, the host in lower case; user, password, query, fragment, repeated and trailing slashes and
    `.git` are removed. A port stays if it is one of the web server. Anything but the address of a git repository on a
    host stays as it is, without blanks around it.
    """
    text = address.strip()
    scheme, rest = _scheme_and_rest(text)
    authority, _, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    parts = AUTHORITY.fullmatch(authority)
    if scheme not in GIT_SCHEMES or parts is None or not parts[1]:
        return text
    host, port = parts[1].lower(), parts[2]
    if scheme in WEB_SCHEMES and port not in DEFAULT_PORTS:
        host = f"{host}:{port}"
    return without_git_suffix(f"https://{host}/{re.sub('/+', '/', path.lstrip('/'))}")


def without_git_suffix(url: str) -> str:
    """The URL without trailing slashes and `.git`, which lead to the same repository."""
    while url != (shorter := url.rstrip("/").removesuffix(".git")):
        url = shorter
    return url


def _scheme_and_rest(text: str) -> tuple[str, str]:
    """The scheme in lower case, and what follows its `://`; an empty scheme where the text has none of git's forms."""
    scheme, separator, rest = text.partition("://")
    if separator:
        return scheme.lower().removeprefix("git+").removesuffix("+git"), rest
    if scp_like := SCP_LIKE.fullmatch(text):
        return "ssh", f"{scp_like[1]}/{scp_like[2]}"
    host, slash, _ = text.partition("/")
    without_scheme = slash and HOST.fullmatch(host) and ("." in host or ":" in host)
    return "https" if without_scheme else "", text
