"""Finding the repository of a file in the imported folder, and the file's path in the repository."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from documents.catalogue.resource import CodeProvider
from resolvers.imports.catalogue.files import FolderContents
from resolvers.imports.catalogue.git_history import innermost_folder
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
    """A repository of code. `url` is None if unknown, and `assumed` if only neighbouring repositories suggest it.

    An unknown repository has no name either, because its folder may have been named by anyone who copied it. `folder`
    is the name of the imported folder, which earlier releases used as the repository's name.
    """

    name: str
    url: str | None = None
    assumed: bool = False
    folder: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """The key that distinguishes repositories."""
        return self.url or self.page("")

    @property
    def owner_url(self) -> str | None:
        """The address of the repository's owner; None if unknown."""
        return self.url and self.url.rpartition("/")[0]

    @property
    def provider(self) -> str:
        """The provider that hosts the repository."""
        host = self.url.split("/")[2] if self.url else ""
        return PROVIDERS.get(host, CodeProvider.OTHER).value

    def page(self, directory: str) -> str:
        """The address of a directory on the default branch, which HEAD refers to whatever its name."""
        if self.url:
            return f"{self.url}/tree/HEAD/{quote(directory)}" if directory else self.url
        return f"{FOLDER}{quote('/'.join(filter(None, (self.name, directory))) or '.')}"


def github_repository(full_name: str) -> Repository | None:
    """The repository on GitHub with a name such as `owner/name`; None for anything else."""
    match = FULL_NAME.fullmatch(full_name)
    return Repository(match[2], f"https://github.com/{full_name}") if match else None


def clone_repository(address: str | None) -> Repository | None:
    """The repository at the address in the settings of a checkout; None if that is not an address."""
    page = page_of(address or "")
    return Repository(page.rpartition("/")[2], page) if page else None


def parse_repository(text: str) -> Repository | None:
    """The repository that a list names: `owner/name` on GitHub, or an address; None for anything else."""
    return github_repository(text) or clone_repository(text)


class Repositories:
    """Finds repositories by the folders that hold them.

    A folder holds a repository if it is a git checkout, else if its name is that of a repository in a list of commits,
    else if it is next to such a folder; then the owner is assumed to be the same. Other folders are identified by their
    path alone. So a directory of one repository is recognised in parallel trees: `metadata/survey/codelists` and
    `csvw/survey/codelists` are both `codelists` of `survey`.
    """

    def __init__(self, contents: FolderContents) -> None:
        self._top = contents.folder.name
        self._checkouts = {
            path: clone_repository(address) or Repository(path, folder=path.rpartition("/")[2] or self._top)
            for path, address in contents.checkouts.items()
        }
        self._by_name = _repositories_by_name(contents)
        self._owners = self._owners_by_tree([*contents.documents, *contents.infos])

    def locate(self, file: str) -> tuple[Repository, str]:
        """The repository that holds a file, and the file's path in it."""
        parts = file.split("/")
        checkout = innermost_folder(self._checkouts, file)
        if checkout is not None and self._checkouts[checkout].url:
            return self._checkouts[checkout], file.removeprefix(checkout).lstrip("/")
        if depth := self._depth_of_named(parts):
            return self._by_name[parts[depth - 1]], "/".join(parts[depth:])
        if self._top in self._by_name:
            return self._by_name[self._top], file
        if checkout is not None:
            return self._checkouts[checkout], file.removeprefix(checkout).lstrip("/")
        return self._assume_from_siblings(parts) or (Repository("", folder=self._top), file)

    def _depth_of_named(self, parts: list[str]) -> int:
        return next((depth for depth, part in enumerate(parts[:-1], 1) if part in self._by_name), 0)

    def _assume_from_siblings(self, parts: list[str]) -> tuple[Repository, str] | None:
        for depth in range(len(parts) - 1):
            owners = self._owners.get("/".join(parts[:depth]))
            if owners is not None:
                name = parts[depth]
                url = f"{next(iter(owners))}/{quote(name)}" if len(owners) == 1 else None
                return Repository(name, url, assumed=url is not None), "/".join(parts[depth + 1 :])
        return None

    def _owners_by_tree(self, files: Iterable[str]) -> dict[str, set[str | None]]:
        """The owners of the listed repositories in each folder that contains any."""
        owners: dict[str, set[str | None]] = defaultdict(set)
        for parts in (file.split("/") for file in files):
            if depth := self._depth_of_named(parts):
                owners["/".join(parts[: depth - 1])].add(self._by_name[parts[depth - 1]].owner_url)
        return owners


def _repositories_by_name(contents: FolderContents) -> dict[str, Repository]:
    """The listed repositories by name, without names that two owners use."""
    entries = [*contents.sources, *(entry for entries in contents.histories.values() for entry in entries)]
    mentioned = {repository for entry in entries if (repository := parse_repository(str(entry["repo"])))}
    by_name: dict[str, list[Repository]] = defaultdict(list)
    for repository in mentioned:
        by_name[repository.name].append(repository)
    return {name: sharing[0] for name, sharing in by_name.items() if len(sharing) == 1}
