"""Finding the repository of a file in the folder, and the file's path in there."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from documents.catalogue.resource import CodeProvider
from resolvers.imports.catalogue.files import Found
from resolvers.imports.catalogue.git_history import innermost
from resolvers.imports.git_checkout.remote import page_of

FULL_NAME = re.compile(r"([\w.-]+)/([\w.-]+)")
FOLDER = "urn:folder:"
"""Prefix of the page of documents outside of repositories; their path below the imported folder follows."""
PROVIDERS = {
    "github.com": CodeProvider.GITHUB,
    "gitlab.com": CodeProvider.GITLAB,
    "bitbucket.org": CodeProvider.BITBUCKET,
}


@dataclass(frozen=True)
class Repository:
    """A repository of code. `url` is None when unknown, `assumed` when only neighbouring repositories suggest it.

    An unknown repository has no name either, since its folder may have been named by anyone who copied it. `folder` is
    the name of the imported folder, which earlier releases took for the repository's.
    """

    name: str
    url: str | None = None
    assumed: bool = False
    folder: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """Distinguishes it from other repositories."""
        return self.url or self.page("")

    @property
    def owner_url(self) -> str | None:
        """The address of its owner."""
        return self.url and self.url.rpartition("/")[0]

    @property
    def provider(self) -> str:
        """The host of the repository."""
        host = self.url.split("/")[2] if self.url else ""
        return PROVIDERS.get(host, CodeProvider.OTHER).value

    def page(self, directory: str) -> str:
        """The address of a directory. HEAD means the default branch, whatever its name."""
        if self.url:
            return f"{self.url}/tree/HEAD/{quote(directory)}" if directory else self.url
        return f"{FOLDER}{quote('/'.join(filter(None, (self.name, directory))) or '.')}"


def on_github(full_name: str) -> Repository | None:
    """The repository with a name such as `owner/name`, None for anything else."""
    match = FULL_NAME.fullmatch(full_name)
    return Repository(match[2], f"https://github.com/{full_name}") if match else None


def cloned_from(address: str | None) -> Repository | None:
    """The repository of the address in git's settings, None if it is no address."""
    page = page_of(address or "")
    return Repository(page.rpartition("/")[2], page) if page else None


def listed(text: str) -> Repository | None:
    """The repository named in a list: on GitHub as `owner/name`, elsewhere by an address; None for anything else."""
    return on_github(text) or cloned_from(text)


class Repositories:
    """Finds repositories by the folders that hold them.

    A folder holds a repository when git says so; else when its name is that of a repository in a list of commits; else
    when it lies beside such a folder, and then the owner is assumed to be the same. Other folders are identified by
    their path alone. So the same directory of one repository is recognised in trees that lie side by side:
    `metadata/survey/codelists` and `csvw/survey/codelists` are both `codelists` of `survey`.
    """

    def __init__(self, found: Found) -> None:
        self._top = found.folder.name
        self._checkouts = {
            path: cloned_from(address) or Repository(path, folder=path.rpartition("/")[2] or self._top)
            for path, address in found.checkouts.items()
        }
        self._named = _named(found)
        self._owners = self._owners_by_tree([*found.documents, *found.infos])

    def locate(self, file: str) -> tuple[Repository, str]:
        """The repository that holds a file, and the file's path in there."""
        parts = file.split("/")
        checkout = innermost(self._checkouts, file)
        if checkout is not None and self._checkouts[checkout].url:
            return self._checkouts[checkout], file.removeprefix(checkout).lstrip("/")
        if depth := self._depth_of_named(parts):
            return self._named[parts[depth - 1]], "/".join(parts[depth:])
        if self._top in self._named:
            return self._named[self._top], file
        if checkout is not None:
            return self._checkouts[checkout], file.removeprefix(checkout).lstrip("/")
        return self._beside(parts) or (Repository("", folder=self._top), file)

    def _depth_of_named(self, parts: list[str]) -> int:
        return next((depth for depth, part in enumerate(parts[:-1], 1) if part in self._named), 0)

    def _beside(self, parts: list[str]) -> tuple[Repository, str] | None:
        for depth in range(len(parts) - 1):
            owners = self._owners.get("/".join(parts[:depth]))
            if owners is not None:
                name = parts[depth]
                url = f"{next(iter(owners))}/{quote(name)}" if len(owners) == 1 else None
                return Repository(name, url, assumed=url is not None), "/".join(parts[depth + 1 :])
        return None

    def _owners_by_tree(self, files: Iterable[str]) -> dict[str, set[str | None]]:
        """The owner of the known repositories in each folder that holds some."""
        owners: dict[str, set[str | None]] = defaultdict(set)
        for parts in (file.split("/") for file in files):
            if depth := self._depth_of_named(parts):
                owners["/".join(parts[: depth - 1])].add(self._named[parts[depth - 1]].owner_url)
        return owners


def _named(found: Found) -> dict[str, Repository]:
    """The repositories in lists, by name, without names that two owners use."""
    entries = [*found.sources, *(entry for entries in found.histories.values() for entry in entries)]
    mentioned = {repository for entry in entries if (repository := listed(str(entry["repo"])))}
    by_name: dict[str, list[Repository]] = defaultdict(list)
    for repository in mentioned:
        by_name[repository.name].append(repository)
    return {name: sharing[0] for name, sharing in by_name.items() if len(sharing) == 1}
