"""Importing a catalogue from a folder, on small folders of our own, read back through the schema."""

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from documents.mongo.database import Database
from tests.support.catalogue import ask_text, counts, csvw
from tests.support.folders import (
    CODE,
    PAGE,
    REPO,
    datasets,
    digest,
    history,
    info,
    run,
    sources,
    version_digests,
    write_files,
)
from tests.support.patience import within


async def test_a_document_finds_the_info_json_of_its_directory(database: Database, tmp_path: Path) -> None:
    write_files(
        tmp_path, {"datasets/births/info.json": info(), "datasets/births/out/births.csv-metadata.json": csvw("births")}
    )

    summary = await run(tmp_path)

    births = (await datasets())["births"]
    assert births["resource"]["landingPage"] == PAGE
    assert births["resource"]["organisation"] == {
        "url": "urn:publisher:examples-bureau",
        "name": "Examples Bureau",
    }
    assert version_digests(births) == [("v1", digest(csvw("births")))]
    assert summary.taken == {"CSV-W documents": 1, "info.json files": 1}
    assert summary.refused == {}


async def test_trees_side_by_side_are_one_repository(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, sources())
    write_files(tmp_path / "metadata/births-family", {"datasets/births/info.json": info()})
    write_files(tmp_path / "tables/births-family", {"datasets/births/codelists/age.csv-metadata.json": csvw("age")})

    await run(tmp_path)

    age = (await datasets())["age"]
    assert age["resource"]["info"] == json.loads(info())
    assert age["resource"]["codeRepo"] == {
        "url": CODE,
        "source": [
            {"path": "datasets/births/main.py", "commit": "a" * 40},
            {"path": "datasets/births/info.json", "commit": "b" * 40},
        ],
    }
    assert len(age["versions"][0]["distribution"]["transform"]["code"]) == 2
    assert (await counts(database))["resources"] == 1


async def test_info_json_is_kept_as_it_is(database: Database, tmp_path: Path) -> None:
    text = '{\r\n "title" : "Births", "scale": 1.50, "published": "" }\r\n'
    write_files(tmp_path, {"a/info.json": text, "a/x.csv-metadata.json": csvw("x")})

    await run(tmp_path)

    assert text in await ask_text("{ resources(first: 5) { nodes { info } } }")


async def test_without_an_info_json_the_owner_of_the_repository_is_the_organisation(
    database: Database, tmp_path: Path
) -> None:
    write_files(
        tmp_path, {".git/config": f'[core]\n\tbare = false\n[remote "origin"]\n\turl = git@github.com:{REPO}.git\n'}
    )
    write_files(tmp_path, {"reference/codelists/age.csv-metadata.json": csvw("age")})

    await run(tmp_path)

    resource = (await datasets())["age"]["resource"]
    assert resource["organisation"] == {"url": "https://github.com/statistics", "name": "statistics"}
    assert resource["landingPage"] == f"{CODE}/tree/HEAD/reference/codelists"
    assert resource["codeRepo"] == {"url": CODE, "source": []}
    assert resource["title"] == "births-family/reference/codelists"


async def test_a_neighbour_of_known_repositories_has_their_owner_and_the_summary_says_so(
    database: Database, tmp_path: Path
) -> None:
    write_files(tmp_path, sources())
    write_files(tmp_path / "births-family", {"datasets/births/out/births.csv-metadata.json": csvw("births")})
    write_files(tmp_path / "deaths-family", {"out/deaths.csv-metadata.json": csvw("deaths")})

    summary = await run(tmp_path)

    assert (await datasets())["deaths"]["resource"]["codeRepo"]["url"] == "https://github.com/statistics/deaths-family"
    (note,) = [note for note in summary.adjustments if note.id == "deaths-family"]
    assert note.reason.startswith("It is assumed to be https://github.com/statistics/deaths-family")


async def test_a_history_is_published_in_the_order_of_its_numbers(database: Database, tmp_path: Path) -> None:
    texts = [csvw("age", note=number) for number in range(1, 13)]
    write_files(tmp_path, history("codelists/age.csv-metadata.json", *texts))

    await run(tmp_path)

    age = (await datasets())["age"]
    assert version_digests(age) == [(f"v{number}", digest(text)) for number, text in enumerate(texts, 1)]
    tenth = age["versions"][9]
    assert tenth["createdAt"] == "2021-07-10T11:00:00.000Z"
    assert tenth["distribution"]["transform"]["endedAt"] == "2021-07-10T11:00:00.000Z"
    assert tenth["distribution"]["transform"]["code"] == [
        {"repository": CODE, "path": "codelists/age.csv-metadata.json", "commit": f"{10:040x}"}
    ]


async def test_numbered_files_are_a_history_without_a_list_too(database: Database, tmp_path: Path) -> None:
    texts = [csvw("age", note=number) for number in range(1, 12)]
    write_files(tmp_path, {f"age/v{number}.json": text for number, text in enumerate(texts, 1)})

    await run(tmp_path)

    assert [sha256 for _, sha256 in version_digests((await datasets())["age"])] == [digest(text) for text in texts]


async def test_what_lies_beside_a_history_is_its_present_state(database: Database, tmp_path: Path) -> None:
    old, new, now = (csvw("age", note=word) for word in ("old", "new", "now"))
    write_files(tmp_path, history("codelists/age.csv-metadata.json", old, new))
    write_files(tmp_path / "tables/births-family", {"codelists/age.csv-metadata.json": now})

    await run(tmp_path)

    assert version_digests((await datasets())["age"]) == [("v1", digest(old)), ("v2", digest(new)), ("v3", digest(now))]
    assert (await counts(database))["resources"] == 1


async def test_a_present_state_that_the_history_has_is_not_published_again(database: Database, tmp_path: Path) -> None:
    old, new = csvw("age", note="old"), csvw("age", note="new")
    write_files(tmp_path, history("codelists/age.csv-metadata.json", old, new))
    write_files(tmp_path / "tables/births-family", {"codelists/age.csv-metadata.json": old})

    summary = await run(tmp_path)

    assert version_digests((await datasets())["age"]) == [("v1", digest(old)), ("v2", digest(new))]
    assert summary.taken["CSV-W documents"] == 2
    assert summary.already["CSV-W documents"] == 1


async def test_importing_again_publishes_nothing_even_when_a_history_returns_to_an_earlier_state(
    database: Database, tmp_path: Path
) -> None:
    one, two = csvw("age", note=1), csvw("age", note=2)
    write_files(tmp_path, history("codelists/age.csv-metadata.json", one, two, two, one) | sources())
    write_files(tmp_path / "births-family", {"datasets/births/info.json": info()})
    await run(tmp_path)
    await database["idempotency_keys"].delete_many({})
    before = await counts(database)

    summary = await run(tmp_path)

    assert version_digests((await datasets())["age"]) == [("v1", digest(one)), ("v2", digest(two)), ("v3", digest(one))]
    assert await counts(database) == before
    assert summary.taken == {}
    assert summary.already == {"CSV-W documents": 4, "info.json files": 1}


async def test_a_history_that_grew_is_continued(database: Database, tmp_path: Path) -> None:
    texts = [csvw("age", note=note) for note in (1, 2, 1, 3)]
    write_files(tmp_path, history("codelists/age.csv-metadata.json", *texts[:2]))
    await run(tmp_path)
    write_files(tmp_path, history("codelists/age.csv-metadata.json", *texts))

    summary = await run(tmp_path)

    assert [sha256 for _, sha256 in version_digests((await datasets())["age"])] == [digest(text) for text in texts]
    assert summary.taken == {"CSV-W documents": 2}


async def test_a_state_that_turns_up_too_late_is_refused(database: Database, tmp_path: Path) -> None:
    texts = [csvw("age", note=note) for note in (1, 2, 3)]
    write_files(tmp_path, history("codelists/age.csv-metadata.json", *texts))
    (tmp_path / "versions/age/v2.json").rename(tmp_path / "v2.aside")
    await run(tmp_path)
    (tmp_path / "v2.aside").rename(tmp_path / "versions/age/v2.json")

    summary = await run(tmp_path)

    assert [sha256 for _, sha256 in version_digests((await datasets())["age"])] == [digest(texts[0]), digest(texts[2])]
    assert [(note.id, note.reason) for note in summary.refusals] == [
        ("versions/age/v2.json", "It is older than a version that is published already.")
    ]


async def test_documents_of_one_commit_are_one_transform(database: Database, tmp_path: Path) -> None:
    files = history("codelists/age.csv-metadata.json", csvw("age", note=1), csvw("age", note=2))
    more = history("codelists/sex.csv-metadata.json", csvw("sex", note=1), csvw("sex", note=2), folder="versions/sex")
    both = json.loads(files["versions/index.json"]) + json.loads(more["versions/index.json"])
    write_files(tmp_path, files | more | {"versions/index.json": json.dumps(both)})

    await run(tmp_path)

    found = await datasets()
    runs = [[one["distribution"]["transform"]["id"] for one in found[name]["versions"]] for name in ("age", "sex")]
    assert runs[0] == runs[1]
    assert (await counts(database))["transforms"] == 2


async def test_documents_of_one_name_become_datasets_of_their_own(database: Database, tmp_path: Path) -> None:
    one, two = csvw("age", note=1), csvw("age", note=2)
    write_files(
        tmp_path, {"p/info.json": info(), "p/out/age.csv-metadata.json": one, "p/codelists/age.csv-metadata.json": two}
    )

    await run(tmp_path)

    found = await datasets()
    assert version_digests(found["out-age"]) == [("v1", digest(one))]
    assert version_digests(found["codelists-age"]) == [("v1", digest(two))]
    assert set(found) == {"out-age", "codelists-age"}


async def test_pipelines_with_one_page_and_one_title_stay_apart(database: Database, tmp_path: Path) -> None:
    one, two = csvw("age", note=1), csvw("age", note=2)
    write_files(tmp_path, {"a/info.json": info(), "a/age.csv-metadata.json": one})
    write_files(tmp_path, {"b/info.json": info(), "b/age.csv-metadata.json": two})

    await run(tmp_path)
    again = await run(tmp_path)

    titles = [row["title"] async for row in database["resources"].find(sort={"title": 1})]
    assert titles == ["Births (a)", "Births (b)"]
    assert await database["dataset_versions"].count_documents({"label": "v1"}) == 2
    assert again.taken == {}


async def test_a_pipeline_without_documents_is_a_resource_without_datasets(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, sources() | {"births-family/datasets/births/info.json": info()})

    await run(tmp_path)

    found = await counts(database)
    assert (found["resources"], found["transforms"], found["datasets"]) == (1, 0, 0)


async def test_an_info_json_that_changed_is_taken_over(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"p/info.json": info(notes="old"), "p/age.csv-metadata.json": csvw("age")})
    await run(tmp_path)
    write_files(tmp_path, {"p/info.json": info(notes="new")})

    summary = await run(tmp_path)

    assert (await datasets())["age"]["resource"]["info"]["notes"] == "new"
    assert summary.taken == {"info.json files": 1}
    assert (await counts(database))["transforms"] == 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv-metadata.json", b'{"url": "caf\xe9.csv"}', "It is not UTF-8: "),
        ("a.csv-metadata.json", b"\xef\xbb\xbf" + csvw("a").encode(), "The CSV-W document is not JSON: "),
        ("a.csv-metadata.json", b"", "The CSV-W document is not JSON: "),
        ("a.csv-metadata.json", b"[" * 200_000, "The CSV-W document is nested more than 100 levels deep."),
        ("a.csv-metadata.json", csvw("a").encode() + b" " * 1_000_000, "It is larger than 1,000,000 bytes."),
        ("odd.json", b'{"@context": "http://www.w3.org/ns/csvw"}', "This is not a CSV-W document: "),
        ("info.json", b'{"family": "F", "pipelines": []}', "This info.json lists the 0 pipelines of F"),
    ],
)
async def test_a_file_that_cannot_be_taken_is_refused_and_stops_no_other(
    database: Database, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    write_files(tmp_path, {f"bad/{name}": content, "good/age.csv-metadata.json": csvw("age")})

    summary = await run(tmp_path)

    assert [note.id for note in summary.refusals] == [f"bad/{name}"]
    assert summary.refusals[0].reason.startswith(reason)
    assert list(await datasets()) == ["age"]


async def test_other_json_is_counted_and_left_alone(database: Database, tmp_path: Path) -> None:
    write_files(
        tmp_path, {"schema.json": '{"type": "object"}', "list.json": "[]", "broken.json": "{", "index.json": "[1]"}
    )

    summary = await run(tmp_path)

    assert summary.others == 4
    assert summary.collections() == []
    assert set((await counts(database)).values()) == {0}


async def test_links_and_pipes_are_not_followed(database: Database, tmp_path: Path) -> None:
    outside = write_files(tmp_path / "outside", {"secret.csv-metadata.json": csvw("secret")})
    inside = write_files(tmp_path / "inside", {"age.csv-metadata.json": csvw("age"), "store/4f2a": csvw("sex")})
    (inside / "out.csv-metadata.json").symlink_to(outside / "secret.csv-metadata.json")
    (inside / "folder").symlink_to(outside)
    (inside / "round").symlink_to(inside)
    (inside / "again.csv-metadata.json").symlink_to(inside / "age.csv-metadata.json")
    (inside / "sex.csv-metadata.json").symlink_to("store/4f2a")
    (inside / "data.csv").symlink_to(outside / "gone.csv")
    os.mkfifo(inside / "pipe.json")
    os.mkfifo(inside / "info.json")
    os.mkfifo(inside / "pipe.csv")

    summary = await asyncio.wait_for(run(inside), within())

    assert list(await datasets()) == ["age"]
    assert {tuple(note) for note in summary.refusals} == {
        ("CSV-W documents", "out.csv-metadata.json", "It is a link that leads out of the folder."),
        ("folders", "folder", "It is a link that leads out of the folder."),
        ("CSV-W documents", "sex.csv-metadata.json", "It is a link to store/4f2a, which is not read."),
        ("CSV-W documents", "pipe.json", "It is not a regular file."),
        ("info.json files", "info.json", "It is not a regular file."),
    }


async def test_links_that_lead_nowhere_are_refused_and_stop_no_other(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"age.csv-metadata.json": csvw("age")})
    (tmp_path / "self-metadata.json").symlink_to("self-metadata.json")
    (tmp_path / "there").symlink_to("back")
    (tmp_path / "back").symlink_to("there")
    (tmp_path / "info.json").symlink_to("gone/info.json")
    (tmp_path / "datasets").symlink_to("gone/datasets")

    summary = await run(tmp_path)

    assert list(await datasets()) == ["age"]
    loop, gone = (f"It is a link that leads nowhere: {os.strerror(code)}." for code in (errno.ELOOP, errno.ENOENT))
    assert {tuple(note) for note in summary.refusals} == {
        ("CSV-W documents", "self-metadata.json", loop),
        ("folders", "there", loop),
        ("folders", "back", loop),
        ("info.json files", "info.json", gone),
        ("folders", "datasets", gone),
    }


async def test_what_git_and_lists_hold_in_odd_places_stops_nothing(database: Database, tmp_path: Path) -> None:
    write_files(
        tmp_path, {"age.csv-metadata.json": csvw("age"), "p/sex.csv-metadata.json": csvw("sex"), "p/.git/HEAD": ""}
    )
    os.mkfifo(tmp_path / "p/.git/config")
    good = {"file": "sex.csv-metadata.json", "repo": REPO, "path": "sex.csv-metadata.json", "created": 7}
    odd: list[Any] = [None, {}, good | {"path": "x/" * 100_000}, good | {"file": ["v1.json"]}]
    odd_path = good | {"file": "age.csv-metadata.json", "path": "a\ud800/age.csv-metadata.json"}
    write_files(tmp_path, {"p/index.json": json.dumps([*odd, good]), "index.json": json.dumps([odd_path])})

    summary = await asyncio.wait_for(run(tmp_path), within())

    assert set(await datasets()) == {"age", "sex"}
    assert [tuple(note) for note in summary.refusals] == [
        ("lists of commits", "p/index.json", "4 of its 5 entries are not {file, repo, path}.")
    ]


async def test_names_that_are_no_text_are_refused_and_can_be_printed(database: Database, tmp_path: Path) -> None:
    write_files(tmp_path, {"age.csv-metadata.json": csvw("age")})
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    write_files(odd, {"sex.csv-metadata.json": csvw("sex")})
    (odd / "link.json").symlink_to("gone")
    (odd / ".git").mkdir()

    summary = await run(tmp_path)

    assert list(await datasets()) == ["age"]
    assert {note.id for note in summary.refusals} == {"caf?/sex.csv-metadata.json", "caf?/link.json"}


async def test_a_thousand_folders_in_each_other_are_walked(database: Database, tmp_path: Path) -> None:
    folders = [tmp_path / ("d/" * depth) for depth in range(1, 1_200)]
    for folder in folders:
        folder.mkdir()
    write_files(folders[-1], {"age.csv-metadata.json": "{"})

    summary = await run(tmp_path)

    assert [note.id for note in summary.refusals] == ["d/" * 1_199 + "age.csv-metadata.json"]
    # shutil.rmtree recurses once a level, and would exceed Python's recursion limit.
    (folders[-1] / "age.csv-metadata.json").unlink()
    for folder in reversed(folders):
        folder.rmdir()


async def test_exact_bytes_are_kept(database: Database, tmp_path: Path) -> None:
    text = '{"url":"a.csv",\r\n "b":1.0, "a":1e2, "null":null, "ü":"\\u00fc",\t"tableSchema":{"columns":[]}}\r\n'
    write_files(tmp_path, {"a.csv-metadata.json": text})

    await run(tmp_path)

    found = await ask_text(
        "{ datasets(first: 1) { nodes { latestVersion { distribution { csvw sha256 sizeBytes } } } } }"
    )
    assert f'"csvw":{text},"sha256":"{digest(text)}","sizeBytes":"{len(text.encode())}"' in found


async def test_two_imports_at_once_publish_everything_once(database: Database, tmp_path: Path) -> None:
    texts = [csvw("age", note=note) for note in (1, 2, 1)]
    write_files(tmp_path, history("codelists/age.csv-metadata.json", *texts))

    await asyncio.gather(run(tmp_path), run(tmp_path), run(tmp_path))

    assert [sha256 for _, sha256 in version_digests((await datasets())["age"])] == [digest(text) for text in texts]
    assert (await counts(database))["transforms"] == 3
