"""The address of a remote in a checkout's settings, and the web page of its repository."""

import re

MAX_LENGTH = 1_000

URL = re.compile(r"(?:https?|ssh|git|git\+ssh|ssh\+git)://([^/?#\s]+)/([^?#\s]+)(?:[?#]\S*)?")
SCP_LIKE = re.compile(r"[^@:/\s]+@([^@:/\s]+):([^?#\s]+)(?:[?#]\S*)?")
"""Such as git@host:owner/name.git: https://git-scm.com/docs/git-clone#_git_urls."""
HOST = re.compile(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?::[0-9]*)?", re.ASCII)


def page_of(remote: str) -> str | None:
    """The web page of a repository, such as https://host/owner/name; None unless it is an address on another machine.

    User, password, token and query never become part of it. It is also None if a password with an unencoded character
    might be mistaken for another part of the address.
    """
    match = URL.fullmatch(remote) or SCP_LIKE.fullmatch(remote)
    if match is None or len(remote) > MAX_LENGTH or not remote.isprintable():
        return None
    host = HOST.fullmatch(match[1].rpartition("@")[2])
    parts = match[2].strip("/").removesuffix(".git").split("/")
    if host is None or "@" in match[2] or any(part in ("", ".", "..") for part in parts):
        return None
    return f"https://{host[1].lower()}/{'/'.join(parts)}"


def without_secrets(remote: str) -> str:
    """A remote's address without user, password and query. Accepts any text."""
    return re.split(r"[?#]", remote.rpartition("@")[2], maxsplit=1)[0]
