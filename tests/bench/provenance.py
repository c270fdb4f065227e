"""A large provenance graph: steps that each used five earlier outputs, chosen at random, and made one."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from documents import Output, Step, Token, User
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.provenance.used import Used
from resolvers.access.token_secret import hash_of, new_secret
from tests.bench.level import BEGAN, Level, Row, at, id_of, made_at
from tests.bench.postgres import Edge, Node
from tests.support.builders import a_step, a_twin, a_user, an_execution, an_output

USED = 5
HOPS = 10
HIDDEN = 0.02
"""Share of steps and outputs that belong to somebody else."""
TRIED_ROOTS = 400


@dataclass
class ProvenanceGraph:
    """Nodes known by their numbers: the outputs before `sources` come from outside, output n of step n - `sources`."""

    steps: int
    sources: int
    secret: str = field(default_factory=new_secret)
    """The token of the user who sees all but what is hidden."""

    def __post_init__(self) -> None:
        chance = random.Random(7)
        self.used = [chance.sample(range(self.sources + step), USED) for step in range(self.steps)]
        self.hidden_steps = {step for step in range(self.steps) if chance.random() < HIDDEN}
        self.hidden_outputs = {output for output in range(self.sources + self.steps) if chance.random() < HIDDEN}

    @property
    def viewer(self) -> str:
        """The id of the user who sees all but what is hidden."""
        return id_of(User, 0)

    @property
    def edges(self) -> int:
        """The number of edges."""
        return self.steps * (USED + 1)

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return self.sources + 2 * self.steps

    def levels(self) -> list[Level]:
        """The documents, by kind."""
        user, other = a_user(id=id_of(User, 0)), a_user(id=id_of(User, 1))
        execution = an_execution(a_twin(user))
        ran = {"status": ActivityStatus.SUCCEEDED, "started_at": BEGAN, "ended_at": BEGAN}
        step = a_step(execution, used=[Used(ref=id_of(Output, 0))], **ran)
        output = an_output(step, sha256="0a" * 32, file_size=1, file_type="text/csv")
        token = Token(hash=hash_of(self.secret), role="USER", user_ref=user.id, name="bench", last_used_at=now())
        (like,) = (used.model_dump(by_alias=True) for used in step.used or [])

        def own_user(n: int) -> Row:
            return {"displayName": f"user-{n}", "email": f"user-{n}@people.example"}

        def own_step(n: int) -> Row:
            used = [like | {"ref": id_of(Output, output)} for output in self.used[n]]
            owner = other if n in self.hidden_steps else user
            times = {"created_at": at(n), "start_timestamp": at(n), "end_timestamp": at(n + 7)}
            return {"key": f"step-{n}", "ordinal": n, "ownerRef": owner.id, "used": used, **times}

        def own_output(n: int) -> Row:
            owner = other if n in self.hidden_outputs else user
            made_by = {"stepRef": id_of(Step, n - self.sources)} if n >= self.sources else {}
            return {
                "file_name": f"output-{n}.csv",
                "s3_key": f"outputs/{n}",
                "ownerRef": owner.id,
                **made_by,
                **made_at(n),
            }

        outputs = self.sources + self.steps
        return [
            Level(token, 1, lambda n: {}),
            Level(user, 2, own_user),
            Level(step, self.steps, own_step),
            Level(output, outputs, own_output),
        ]

    def all_edges(self) -> Iterator[Edge]:
        """The edges between all nodes, along the data."""
        for step, used in enumerate(self.used):
            yield from ((id_of(Output, one), id_of(Step, step)) for one in used)
            yield id_of(Step, step), id_of(Output, self.sources + step)

    def owned_nodes(self) -> Iterator[Node]:
        """All nodes with their owners and captions."""
        owners = (id_of(User, 0), id_of(User, 1))
        for step in range(self.steps):
            yield id_of(Step, step), owners[step in self.hidden_steps], f"step-{step}"
        for output in range(self.sources + self.steps):
            yield id_of(Output, output), owners[output in self.hidden_outputs], f"output-{output}.csv"

    def visible_edges(self) -> Iterator[Edge]:
        """The edges between nodes that the user sees, along the data."""
        for step, used in enumerate(self.used):
            if step not in self.hidden_steps:
                made = self.sources + step
                yield from ((id_of(Output, one), id_of(Step, step)) for one in used if one not in self.hidden_outputs)
                if made not in self.hidden_outputs:
                    yield id_of(Step, step), id_of(Output, made)

    def root(self, nodes: int) -> str:
        """The output below which the user sees about so many nodes within HOPS edges, and not more."""
        chance = random.Random(11)
        tried = {chance.randrange(self.sources + self.steps) for _ in range(TRIED_ROOTS)} - self.hidden_outputs
        sizes = {output: self._size(output, nodes) for output in sorted(tried)}
        return id_of(Output, max((size, output) for output, size in sizes.items() if size <= nodes)[1])

    def _size(self, root: int, most: int) -> int:
        """The number of nodes below an output, counted up to one more than `most`."""
        seen, frontier, steps = {root}, [root], 0
        for _ in range(HOPS // 2):
            used_by = {step for output in frontier for step in self._users.get(output, ())}
            steps += len(used_by)
            frontier = [made for step in used_by if (made := self.sources + step) not in self.hidden_outputs | seen]
            seen.update(frontier)
            if steps + len(seen) > most:
                return most + 1
        return steps + len(seen)

    @cached_property
    def _users(self) -> dict[int, list[int]]:
        """The visible steps that used each visible output."""
        users: dict[int, list[int]] = {}
        for step, used in enumerate(self.used):
            if step not in self.hidden_steps:
                for output in used:
                    users.setdefault(output, []).append(step)
        return users
