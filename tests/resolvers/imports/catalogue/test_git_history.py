"""The git history of documents in checkouts, read through the schema after importing them."""

import json
from pathlib import Path
from typing import Any

import pytest

from documents.mongo.database import Database
from resolvers.imports.catalogue import git_history
from resolvers.imports.catalogue.importer import CatalogueSummary, import_catalogue
from resolvers.imports.summary import Note
from tests.support.catalogue import ADMIN, ask, counts, csvw
from tests.support.checkouts import Checkout, git

CODE = "https://github.com/statistics/births-family"
INFO = '{"title": "Births", "publisher": "Examples Bureau", "landingPage": "https://statistics.example/births"}'
DIRECTORY = "datasets/births"
DOCUMENT = f"{DIRECTORY}/out/births.csv-metadata.json"

VERSIONS = """{ datasets(first: 100) { nodes { identifier
  resource { codeRepo { provider url source { path commit } } }
  versions(first: 100, orderBy: {field: ORDINAL, direction: ASC}) { nodes { label createdAt
    distribution { csvwText transform { id endedAt code { repository path commit } } } } } } } }"""

pytestmark = pytest.mark.usefixtures("database")


async def run(folder: Path, *, history: bool = False) -> CatalogueSummary:
    """Import a folder; returns the summary."""
    return await import_catalogue(folder, ADMIN, lambda *_: None, history=history)


async def datasets() -> dict[str, Any]:
    """All datasets by identifier, `nodes` of versions in place."""
    found = (await ask(VERSIONS))["datasets"]["nodes"]
    return {one["identifier"]: one | {"versions": one["versions"]["nodes"]} for one in found}


def of_commits(summary: CatalogueSummary) -> list[Note]:
    """The adjustments, without those of publishers that nothing names."""
    return [note for note in summary.adjustments if "no publisher" not in note.reason]


async def versions(identifier: str = "births") -> list[Any]:
    found: list[Any] = (await datasets())[identifier]["versions"]
    return found


def texts(found: list[Any]) -> list[str]:
    return [one["distribution"]["csvwText"] for one in found]


def days(found: list[Any]) -> list[str]:
    return [one["createdAt"][:10] for one in found]


def code(version: Any) -> list[tuple[str, str]]:
    """Path and commit of what made a version, all of it from the one repository."""
    told = version["distribution"]["transform"]["code"]
    assert {one["repository"] for one in told} <= {CODE}
    return [(one["path"], one["commit"]) for one in told]


def births(n: int) -> str:
    return csvw("births", n=n)


async def test_each_file_has_the_commit_that_last_touched_it(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    first = checkout.commit({f"{DIRECTORY}/main.py": "1", f"{DIRECTORY}/info.json": INFO, "README.md": "1"}, day=1)
    second = checkout.commit({DOCUMENT: births(1), f"{DIRECTORY}/main.py": "2"}, day=2)
    checkout.commit({"README.md": "2", "other/main.py": "1"}, day=3)

    summary = await run(tmp_path)

    found = (await datasets())["births"]
    (version,) = found["versions"]
    assert code(version) == [(f"{DIRECTORY}/main.py", second), (f"{DIRECTORY}/info.json", first)]
    assert found["resource"]["codeRepo"] == {
        "provider": "GITHUB",
        "url": CODE,
        "source": [
            {"path": f"{DIRECTORY}/main.py", "commit": second},
            {"path": f"{DIRECTORY}/info.json", "commit": first},
        ],
    }
    assert version["createdAt"] == version["distribution"]["transform"]["endedAt"] == "2021-03-02T12:00:00.000Z"
    assert summary.adjusted == {}


async def test_code_is_what_was_there_when_the_document_was_made(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    before = checkout.commit({f"{DIRECTORY}/main.py": "1"}, day=1)
    checkout.commit({f"{DIRECTORY}/births.csv-metadata.json": births(1)}, day=2)
    checkout.commit({f"{DIRECTORY}/main.py": "2", f"{DIRECTORY}/extra.py": "1"}, day=3)

    await run(tmp_path)

    (version,) = await versions()
    assert code(version) == [(f"{DIRECTORY}/main.py", before)]


async def test_a_document_without_code_is_its_own_evidence(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({"README.md": ""}, day=1)
    made = checkout.commit({"codelists/age.csv-metadata.json": csvw("age")}, day=2)

    await run(tmp_path)

    (version,) = await versions("age")
    assert code(version) == [("codelists/age.csv-metadata.json", made)]


async def test_the_present_state_alone_is_taken_unless_history_is_asked_for(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    for day in (1, 2, 3):
        checkout.commit({DOCUMENT: births(day)}, day=day)

    await run(tmp_path)

    found = await versions()
    assert texts(found) == [births(3)]
    assert days(found) == ["2021-03-03"]


async def test_a_history_becomes_versions_in_order_with_commit_and_time(database: Database, tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    commits = []
    for day in (1, 2, 3, 4, 5):
        state = births(1 if day == 4 else day)
        commits.append(checkout.commit({DOCUMENT: state, f"{DIRECTORY}/info.json": INFO, "n": f"{day}"}, day=day))
    checkout.commit({"n": "another"}, day=6)

    first = await run(tmp_path, history=True)
    found, stored = await versions(), await counts(database)
    again = await run(tmp_path, history=True)
    without = await run(tmp_path)

    assert texts(found) == [births(n) for n in (1, 2, 3, 1, 5)]
    assert days(found) == [f"2021-03-{day:02}" for day in (1, 2, 3, 4, 5)]
    assert [one["label"] for one in found] == ["v1", "v2", "v3", "v4", "v5"]
    assert [code(one) for one in found] == [[(f"{DIRECTORY}/info.json", commits[0])]] * 5
    assert first.taken == {"CSV-W documents": 5, "info.json files": 1}
    assert again.taken == without.taken == {}
    assert await counts(database) == stored


async def test_what_is_committed_later_is_published_after(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({DOCUMENT: births(1)}, day=1)
    checkout.commit({DOCUMENT: births(2)}, day=2)
    await run(tmp_path, history=True)
    checkout.commit({DOCUMENT: births(1)}, day=3)
    checkout.commit({DOCUMENT: births(4)}, day=4)

    summary = await run(tmp_path, history=True)

    found = await versions()
    assert texts(found) == [births(n) for n in (1, 2, 1, 4)]
    assert summary.taken == {"CSV-W documents": 2}
    assert summary.refused == {}


async def test_what_was_taken_back_is_published_again_without_history_too(database: Database, tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    first = checkout.commit({DOCUMENT: births(1)}, day=1)
    await run(tmp_path)
    checkout.commit({DOCUMENT: births(2)}, day=2)
    await run(tmp_path)
    checkout.commit({DOCUMENT: births(1)}, day=3)

    back = await run(tmp_path)
    again = await run(tmp_path)
    git(tmp_path, "checkout", "--quiet", first)
    earlier = await run(tmp_path)

    assert texts(await versions()) == [births(1), births(2), births(1)]
    assert days(await versions()) == ["2021-03-01", "2021-03-02", "2021-03-03"]
    assert back.taken == {"CSV-W documents": 1}
    assert again.taken == earlier.taken == {}


async def test_documents_of_one_commit_are_one_run(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    files = [f"{DIRECTORY}/{name}.csv-metadata.json" for name in ("births", "deaths")]
    names: dict[str, str | bytes | None] = {f"{DIRECTORY}/info.json": INFO}
    checkout.commit(names | {file: csvw(file[16:22], n=1) for file in files}, day=1)
    checkout.commit({file: csvw(file[16:22], n=2) for file in files}, day=2)

    await run(tmp_path, history=True)

    made = [[one["distribution"]["transform"]["id"] for one in await versions(name)] for name in ("births", "deaths")]
    assert made[0] == made[1]
    assert len(set(made[0])) == 2


async def test_what_was_not_committed_comes_last_and_without_a_commit(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    made = checkout.commit({DOCUMENT: births(1), f"{DIRECTORY}/info.json": INFO}, day=1)
    (tmp_path / DOCUMENT).write_text(births(2))
    (tmp_path / DIRECTORY / "new.csv-metadata.json").write_text(csvw("new"))

    summary = await run(tmp_path, history=True)

    found = await versions()
    assert texts(found) == [births(1), births(2)]
    assert days(found)[0] == "2021-03-01"
    assert days(found)[1] > "2021-04"
    assert [code(one) for one in found] == [[(f"{DIRECTORY}/info.json", made)]] * 2
    assert texts(await versions("new")) == [csvw("new")]
    assert {note.id: note.reason for note in summary.adjustments} == {
        DOCUMENT: "It has uncommitted changes, so its commit is not known.",
        f"{DIRECTORY}/new.csv-metadata.json": "It is not committed, so its commit is not known.",
    }


async def test_a_document_that_went_and_came_back_keeps_its_versions(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({DOCUMENT: births(1)}, day=1)
    checkout.commit({DOCUMENT: None, "n": ""}, day=2)
    checkout.commit({DOCUMENT: births(3)}, day=3)

    await run(tmp_path, history=True)

    assert days(await versions()) == ["2021-03-01", "2021-03-03"]


async def test_earlier_states_that_are_no_csvw_are_refused_one_by_one(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    broken = checkout.commit({DOCUMENT: "{"}, day=1)
    latin = checkout.commit({DOCUMENT: births(1).encode() + b"\xe9"}, day=2)
    large = checkout.commit({DOCUMENT: " " * 1_000_001}, day=3)
    checkout.commit({DOCUMENT: births(4)}, day=4)
    checkout.commit({DOCUMENT: births(5)}, day=5)

    summary = await run(tmp_path, history=True)

    assert texts(await versions()) == [births(4), births(5)]
    refused = {note.id: note.reason for note in summary.refusals}
    assert set(refused) == {f"{DOCUMENT}@{commit[:12]}" for commit in (broken, latin, large)}
    assert refused[f"{DOCUMENT}@{large[:12]}"] == "It is larger than 1,000,000 bytes."


async def test_a_history_that_is_too_much_is_told_of_and_left_out_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = Checkout.new(tmp_path)
    for day in (1, 2, 3):
        checkout.commit({"births.csv-metadata.json": births(day), "age.json": csvw("age", n=day)}, day=day)
    monkeypatch.setattr(git_history, "MAX_EARLIER_BYTES", 2 * len(births(1)) + 10)

    summary = await run(tmp_path, history=True)

    kept = sorted([len(await versions("age")), len(await versions("births"))])
    assert kept == [1, 3]
    (note,) = of_commits(summary)
    assert note.reason == "Its 2 earlier versions are not read: there are more than fit into memory."


async def test_merges_are_followed_as_git_follows_them(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({DOCUMENT: births(1), f"{DIRECTORY}/info.json": INFO, "n": "1"}, day=1)
    git(tmp_path, "checkout", "--quiet", "-b", "side")
    checkout.commit({DOCUMENT: births(2)}, day=2)
    git(tmp_path, "checkout", "--quiet", "main")
    checkout.commit({f"{DIRECTORY}/info.json": INFO + " "}, day=3)
    git(tmp_path, "merge", "--quiet", "--no-ff", "-m", "m", "side", day=4)
    git(tmp_path, "checkout", "--quiet", "-b", "dropped")
    checkout.commit({DOCUMENT: births(9)}, day=5)
    git(tmp_path, "checkout", "--quiet", "main")
    checkout.commit({"n": "2"}, day=6)
    git(tmp_path, "merge", "--quiet", "--strategy=ours", "-m", "m", "dropped", day=7)

    await run(tmp_path, history=True)

    found = await versions()
    assert texts(found) == [births(1), births(2)]
    assert days(found) == ["2021-03-01", "2021-03-02"]


async def test_a_document_that_was_moved_keeps_its_history(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    old, older = "old/births.csv-metadata.json", "older/b.json"
    commits = [checkout.commit({older: births(1), "n": "1"}, day=1), checkout.commit({older: births(2)}, day=2)]
    checkout.commit({older: None, old: births(2)}, day=3)
    commits.append(checkout.commit({old: births(4)}, day=4))
    moved = checkout.commit({old: None, DOCUMENT: births(4), "n": "5"}, day=5)
    commits.append(checkout.commit({DOCUMENT: births(6)}, day=6))

    await run(tmp_path, history=True)

    found = await versions()
    assert texts(found) == [births(n) for n in (1, 2, 4, 6)]
    assert days(found) == ["2021-03-01", "2021-03-02", "2021-03-04", "2021-03-06"]
    assert checkout.log(DOCUMENT) == [commits[-1], moved]


async def test_who_takes_the_name_of_what_was_moved_begins_anew(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({"a/births.csv-metadata.json": births(1)}, day=1)
    checkout.commit({"a/births.csv-metadata.json": None, "b/births.csv-metadata.json": births(1)}, day=2)
    checkout.commit({"a/births.csv-metadata.json": csvw("deaths"), "b/births.csv-metadata.json": births(3)}, day=3)

    await run(tmp_path, history=True)

    assert days(await versions("deaths")) == ["2021-03-03"]
    assert days(await versions()) == ["2021-03-01", "2021-03-03"]


async def test_a_list_of_versions_is_believed_before_git(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path / "births-family")
    for day in (1, 2, 3):
        checkout.commit({DOCUMENT: births(day)}, day=day)
    listed = '[{"file": "v1.json", "repo": "statistics/births-family", "path": "%s", "created": "2020-01-01"}]'
    (tmp_path / "index.json").write_text(listed % DOCUMENT)
    (tmp_path / "v1.json").write_text(births(1))

    await run(tmp_path, history=True)

    found = await versions()
    assert texts(found) == [births(1), births(3)]
    assert days(found) == ["2020-01-01", "2021-03-03"]


async def test_times_that_cannot_be_are_those_of_the_import(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({DOCUMENT: births(1)}, at="@4102444800 +0000")
    checkout.commit({DOCUMENT: births(2)}, at="@0 +0000")

    await run(tmp_path, history=True)

    found = await versions()
    assert texts(found) == [births(1), births(2)]
    assert days(found)[0] < "2099"
    assert days(found)[1] == "1970-01-01"


async def test_a_shallow_clone_says_so(tmp_path: Path) -> None:
    source = Checkout.new(tmp_path / "source")
    source.commit({DOCUMENT: births(1), f"{DIRECTORY}/info.json": INFO}, day=1)
    source.commit({"n": "2"}, day=2)
    source.commit({DOCUMENT: births(3)}, day=3)
    folder = tmp_path / "folder"
    git(tmp_path, "clone", "--quiet", "--depth=2", source.folder.as_uri(), str(folder))

    summary = await run(folder, history=True)

    assert days(await versions()) == ["2021-03-02", "2021-03-03"]
    assert git_history.SHALLOW in [note.reason for note in summary.adjustments]


async def test_what_a_partial_clone_lacks_is_neither_fetched_nor_missed(tmp_path: Path) -> None:
    source = Checkout.new(tmp_path / "source")
    git(source.folder, "config", "uploadpack.allowFilter", "true")
    for day in (1, 2):
        source.commit({DOCUMENT: births(day)}, day=day)
    folder = tmp_path / "folder"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", source.folder.as_uri(), str(folder))

    summary = await run(folder, history=True)

    assert days(await versions()) == ["2021-03-02"]
    assert [note.reason for note in of_commits(summary)] == [
        "1 of its 1 earlier versions are not in the checkout, a partial clone."
    ]


async def test_several_checkouts_lie_side_by_side_and_in_each_other(tmp_path: Path) -> None:
    outer = Checkout.new(tmp_path / "outer", "git@github.com:statistics/outer.git")
    outer.commit({"age.csv-metadata.json": csvw("age")}, day=1)
    inner = Checkout.new(tmp_path / "outer" / "inner", "ssh://git@gitlab.com:22/statistics/inner.git")
    made = inner.commit({"sex.csv-metadata.json": csvw("sex")}, day=2)

    await run(tmp_path)

    found = await datasets()
    assert found["age"]["resource"]["codeRepo"]["url"] == "https://github.com/statistics/outer"
    assert found["sex"]["resource"]["codeRepo"] == {
        "provider": "GITLAB",
        "url": "https://gitlab.com/statistics/inner",
        "source": [{"path": "sex.csv-metadata.json", "commit": made}],
    }


async def test_a_submodule_and_a_working_tree_within_the_folder_are_read(tmp_path: Path) -> None:
    module = Checkout.new(tmp_path / "elsewhere")
    made = module.commit({"sex.csv-metadata.json": csvw("sex")}, day=1)
    folder = tmp_path / "folder"
    outer = Checkout.new(folder / "main")
    own = outer.commit({"age.csv-metadata.json": csvw("age")}, day=2)
    allowed = ("-c", "protocol.file.allow=always")
    git(outer.folder, *allowed, "submodule", "--quiet", "add", module.folder.as_uri(), "part")
    git(outer.folder, "worktree", "add", "--quiet", "--detach", str(folder / "tree"))

    summary = await run(folder)

    found = await datasets()
    assert found["sex"]["versions"][0]["distribution"]["transform"]["code"][0]["commit"] == made
    assert found["age"]["versions"][0]["distribution"]["transform"]["code"][0]["commit"] == own
    assert not [note for note in summary.adjustments if "commits are not read" in note.reason]


async def test_a_sha_256_repository_is_read(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path, None, "--object-format=sha256")
    for day in (1, 2):
        checkout.commit({DOCUMENT: births(day)}, day=day)

    await run(tmp_path, history=True)

    assert texts(await versions()) == [births(1), births(2)]


async def test_packed_objects_and_references_are_read(tmp_path: Path) -> None:
    checkout = Checkout.new(tmp_path)
    for day in (1, 2):
        checkout.commit({DOCUMENT: births(day)}, day=day)
    git(tmp_path, "gc", "--quiet")

    await run(tmp_path, history=True)

    assert texts(await versions()) == [births(1), births(2)]


async def test_without_git_documents_are_taken_without_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = Checkout.new(tmp_path)
    checkout.commit({DOCUMENT: births(1)}, day=1)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))

    summary = await run(tmp_path, history=True)

    found = (await datasets())["births"]
    assert found["resource"]["codeRepo"]["url"] == CODE
    assert code(found["versions"][0]) == []
    assert [(note.id, note.reason) for note in of_commits(summary)] == [
        (".", "Its commits are not read: git is not installed here.")
    ]


@pytest.mark.parametrize("repo", ["https://bot:secret@github.com/statistics/births-family.git", f"{CODE}?token=secret"])
async def test_lists_name_repositories_by_address_too_and_keep_no_secrets(
    database: Database, tmp_path: Path, repo: str
) -> None:
    entries = [{"file": "v1.json", "repo": repo, "path": DOCUMENT, "commit": "a" * 40, "created": "2020-01-01"}]
    sources = [{"repo": repo, "dir": DIRECTORY, "source": {"main.py": "b" * 40}}]
    (tmp_path / "v1.json").write_text(births(1))
    (tmp_path / "index.json").write_text(json.dumps(entries))
    (tmp_path / "code_repo_sources.json").write_text(json.dumps(sources))

    await run(tmp_path)

    found = (await datasets())["births"]
    assert found["resource"]["codeRepo"]["url"] == CODE
    assert code(found["versions"][0]) == [(f"{DIRECTORY}/main.py", "a" * 40)]
    for name in await database.list_collection_names():
        assert "secret" not in str(await database[name].find({}).to_list())


async def test_what_is_no_repository_keeps_no_secrets(database: Database, tmp_path: Path) -> None:
    repo = "https://bot:pass/secret@code.example/x"
    (tmp_path / "v1.json").write_text(births(1))
    (tmp_path / "index.json").write_text(json.dumps([{"file": "v1.json", "repo": repo, "path": DOCUMENT}]))
    checkout = Checkout.new(tmp_path / "checkout", repo)
    checkout.commit({"age.csv-metadata.json": csvw("age")}, day=1)

    await run(tmp_path, history=True)

    assert set(await datasets()) == {"births", "age"}
    for name in await database.list_collection_names():
        assert "secret" not in str(await database[name].find({}).to_list())
