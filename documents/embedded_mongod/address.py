"""The address of an embedded database that runs, stored in its directory for other processes of its owner."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from documents.embedded_mongod.directory import write_private

FILE = "address"


@dataclass(frozen=True)
class Address:
    """Where a database is found: the process that runs it, the port, and `mongod`'s identifier of its own process."""

    owner: int
    port: int
    process_id: str

    def has_owner(self) -> bool:
        """Whether the process that runs the database exists."""
        try:
            os.kill(self.owner, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


def write_address(data_dir: Path, address: Address) -> None:
    """Store the address of the database that runs in the directory."""
    write_private(data_dir / FILE, json.dumps(asdict(address)))


def remove_address(data_dir: Path) -> None:
    """Remove the address before the database stops."""
    (data_dir / FILE).unlink(missing_ok=True)


def read_address(data_dir: Path) -> Address | None:
    """The address in the directory; None where no database runs, or the file is another person's.

    A database that was killed leaves its address behind.
    """
    try:
        stored = json.loads((data_dir / FILE).read_text())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return Address(stored["owner"], stored["port"], stored["process_id"])
