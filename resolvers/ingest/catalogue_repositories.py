"""Which repository a file of the folder comes from, and where it lies in there."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from documents.resource import CodeProvider
from resolvers.ingest.catalogue_files import Found

FULL_NAME = re.compile(r"([\w.-]+)/([\w.-]+)")
ADDRESS = re.compile(r"(?:(?:https?|ssh|git)://(?:[^@/\s]*@)?|[\w.-]+@)([\w.-]+)(?::\d+)?[:/](\S+?)(?:\.git)?/?")
PROVIDERS = {
    "github.com": CodeProvider.GITHUB,
    "gitlab.com": CodeProvider.GITLAB,
    "bitbucket.org": CodeProvider.BITBUCKET,
}


@dataclass(frozen=True)
class Repository:
    """Where code lives. `url` is None when nothing tells, `assumed` when only its neighbours do."""

    name: str
    url: str | None = None
    assumed: bool = False

    @property
    def key(self) -> str:
        """What tells it from others."""
        return self.url or f"urn:folder:{quote(self.name)}"

    @property
    def owner_url(self) -> str | None:
        """The address of whoever owns it."""
        return self.url and self.url.rpartition("/")[0]

    @property
    def provider(self) -> str:
        """Who hosts it."""
        host = self.url.split("/")[2] if self.url else ""
        return PROVIDERS.get(host, CodeProvider.OTHER).value

    def page(self, directory: str) -> str:
        """The address of a directory. HEAD is what the repository shows first, whatever its branches are called."""
        if not directory:
            return self.key
        return f"{self.url}/tree/HEAD/{quote(directory)}" if self.url else f"{self.key}/{quote(directory)}"


def on_github(full_name: str) -> Repository | None:
    """The repository with a name such as `owner/name`, None for anything else."""
    match = FULL_NAME.fullmatch(full_name)
    return Repository(match[2], f"https://github.com/{full_name}") if match else None


def cloned_from(address: str | None, folder: str) -> Repository:
    """The repository behind the address that git knows; of an unknown one only the folder's name."""
    match = ADDRESS.fullmatch(address or "")
    return Repository(match[2].rpartition("/")[2], f"https://{match[1]}/{match[2]}") if match else Repository(folder)


class Repositories:
    """Tells repositories apart by the folders that hold them.

    A folder holds a repository when git says so; else when its name is that of a repository that a list of commits
    mentions; else when it lies beside such a folder, and then the owner is taken to be the same. What remains belongs
    to the folder as a whole. So the same directory of one repository is known again in trees that lie side by side:
    `metadata/survey/codelists` and `csvw/survey/codelists` are both `codelists` of `survey`.
    """

    def __init__(self, found: Found) -> None:
        self._top = found.folder.name
        self._checkouts = {
            path: cloned_from(address, path.rpartition("/")[2] or self._top)
            for path, address in found.checkouts.items()
        }
        self._named = _named(found)
        self._owners = self._owners_by_tree([*found.documents, *found.infos])

    def locate(self, file: str) -> tuple[Repository, str]:
        """The repository that holds a file, and the file's path in there."""
        parts = file.split("/")
        for depth in range(len(parts) - 1, -1, -1):
            if checkout := self._checkouts.get("/".join(parts[:depth])):
                return checkout, "/".join(parts[depth:])
        if depth := self._depth_of_named(parts):
            return self._named[parts[depth - 1]], "/".join(parts[depth:])
        if self._top in self._named:
            return self._named[self._top], file
        return self._beside(parts) or (Repository(self._top), file)

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
        """Who owns the known repositories in each folder that holds some."""
        owners: dict[str, set[str | None]] = defaultdict(set)
        for parts in (file.split("/") for file in files):
            if depth := self._depth_of_named(parts):
                owners["/".join(parts[: depth - 1])].add(self._named[parts[depth - 1]].owner_url)
        return owners


def _named(found: Found) -> dict[str, Repository]:
    """The repositories that lists mention, by name, without names that two owners use."""
    entries = [*found.sources, *(entry for entries in found.histories.values() for entry in entries)]
    mentioned = {repository for entry in entries if (repository := on_github(str(entry["repo"])))}
    by_name: dict[str, list[Repository]] = defaultdict(list)
    for repository in mentioned:
        by_name[repository.name].append(repository)
    return {name: sharing[0] for name, sharing in by_name.items() if len(sharing) == 1}
