"""Installs GraphiQL's published files beside this module: `python -m graph.graphiql.vendor_assets`, which needs npm.

The files are committed, so that neither an installation nor a server needs npm or the network. They are kept byte
for byte as published: `check` says whether they still are what is pinned here.
"""

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"


class IntegrityError(Exception):
    """Fetched or installed bytes differ from the pinned ones."""


@dataclass(frozen=True)
class Pin:
    """A file of a package, the name it is served by, and the hash of its bytes."""

    path: str
    name: str
    integrity: str


@dataclass(frozen=True)
class Package:
    """An npm package at one version, the hash of its archive, and the files taken from it."""

    name: str
    version: str
    integrity: str
    pins: list[Pin] = field(default_factory=list)


# The SHA-384 hashes of scripts and style sheets are the ones that Strawberry prints in its own GraphiQL page.
PACKAGES = [
    Package(
        "react",
        "18.2.0",
        "sha512-/3IjMdb2L9QbBdWiW5e3P2/npwMBaU9mHCSCUzNln0ZCYbcfTsGbTJrU/kGemdH2IWmB2ioZ+zkxtmq6g09fGQ==",
        [
            Pin(
                "umd/react.production.min.js",
                "react-18.2.0.js",
                "sha384-tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8",
            ),
            Pin("LICENSE", "licences/react.txt", "sha256-UkEte8fOQVfqYou6rLiCngqcs8WPV/mRdhJryM8r/IU="),
        ],
    ),
    Package(
        "react-dom",
        "18.2.0",
        "sha512-6IMTriUmvsjHUjNtEDudZfuDQUoWXVxKHhlEGSk81n4YFS+r/Kl99wXiwlVXtPBtJenozv2P+hxDsw9eA7Xo6g==",
        [
            Pin(
                "umd/react-dom.production.min.js",
                "react-dom-18.2.0.js",
                "sha384-bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh",
            ),
            Pin("LICENSE", "licences/react-dom.txt", "sha256-UkEte8fOQVfqYou6rLiCngqcs8WPV/mRdhJryM8r/IU="),
        ],
    ),
    Package(
        "graphiql",
        "3.8.3",
        "sha512-cuPDYtXVKV86Pu5PHBX642Odi/uVEE2y1Jxq5rGO/Qy1G2lRp7ZZ7a/T30RzxhuLSWo9zUbzq0P3U49//H0Ugw==",
        [
            Pin(
                "graphiql.min.js",
                "graphiql-3.8.3.js",
                "sha384-HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie",
            ),
            Pin(
                "graphiql.min.css",
                "graphiql-3.8.3.css",
                "sha384-Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM",
            ),
            # Its plugin comes from the same repository, under the same licence, and has no copy of the licence text.
            Pin("LICENSE", "licences/graphiql.txt", "sha256-Sxj75VxOj5Fpy3Ar4Tj02Fii2tkgw5hXIE/9ycHJ/cQ="),
        ],
    ),
    Package(
        "@graphiql/plugin-explorer",
        "1.0.2",
        "sha512-9j+kg2UjtLZD5EBmGjeWHkoVVxtbShYg2DzbUVebibnZYZM/iMBEF4vaccXJIAm5KaomIPLx0aoNs4LbODyc3Q==",
        [
            Pin(
                "dist/index.umd.js",
                "plugin-explorer-1.0.2.js",
                "sha384-2oonKe47vfHIZnmB6ZZ10vl7T0Y+qrHQF2cmNTaFDuPshpKqpUMGMc9jgj9MLDZ9",
            ),
            Pin(
                "dist/style.css",
                "plugin-explorer-1.0.2.css",
                "sha384-5DFJlDPW2tSATRbM8kzoP1j194jexLswuNmClWoRr2Q0x7R68JIQzPHZ02Faktwi",
            ),
        ],
    ),
]


def verify(name: str, content: bytes, integrity: str) -> None:
    """Raise IntegrityError unless the bytes have the hash, written as browsers and npm write it (`sha384-…`)."""
    algorithm, _, _ = integrity.partition("-")
    digest = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    if f"{algorithm}-{digest}" != integrity:
        raise IntegrityError(f"{name} is {algorithm}-{digest}, not {integrity} as pinned.")


def check(folder: Path = ASSETS) -> None:
    """Raise IntegrityError when a file in the folder is missing or differs from its pin."""
    for package in PACKAGES:
        for pin in package.pins:
            file = folder / pin.name
            if not file.is_file():
                raise IntegrityError(f"{file} is missing; `python -m graph.graphiql.vendor_assets` installs it.")
            verify(str(file), file.read_bytes(), pin.integrity)


def install(package: Package, folder: Path) -> None:
    """Fetch the package by npm and write its pinned files below the folder."""
    with tempfile.TemporaryDirectory() as folder_name:
        archive = pack(package, Path(folder_name))
        verify(archive.name, archive.read_bytes(), package.integrity)
        with tarfile.open(archive) as tar:
            for pin in package.pins:
                write(pin, read(tar, f"package/{pin.path}"), folder)


def pack(package: Package, folder: Path) -> Path:
    """The package's archive, as published, fetched into the given folder."""
    command = ["npm", "pack", "--silent", f"{package.name}@{package.version}"]
    packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return folder / packed.stdout.split()[-1]


def read(archive: tarfile.TarFile, member: str) -> bytes:
    """The bytes of a regular file in the archive."""
    content = archive.extractfile(member)
    if content is None:
        raise IntegrityError(f"{member} is not a file.")
    return content.read()


def write(pin: Pin, content: bytes, folder: Path) -> None:
    """Write the content to the pin's path, if its hash is the pinned one."""
    verify(pin.path, content, pin.integrity)
    file = folder / pin.name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    print(f"{file.relative_to(folder)}  {len(content):,} bytes")


def main() -> None:
    """Install every package, or print on one line why not."""
    try:
        for package in PACKAGES:
            install(package, ASSETS)
        check()
    except FileNotFoundError:
        sys.exit("npm is needed to fetch GraphiQL, and was not found.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"npm could not fetch a package: {error.stderr.strip()}")
    except IntegrityError as error:
        sys.exit(f"Nothing more was written. {error}")


if __name__ == "__main__":
    main()
