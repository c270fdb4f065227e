"""Users with twins, executions, steps and outputs."""

from documents import DigitalTwin, Execution, Step, User
from tests.bench.level import BEGAN, Level, Row, at, id_of, made_at
from tests.bench.scale import Tree
from tests.support.builders import a_step, a_twin, a_user, an_execution, an_output


def levels_of(tree: Tree) -> list[Level]:
    """The levels of a tree, users first. Everything is public: what is compared are servers, not what they hide."""
    user = a_user()
    twin = a_twin(user, public=True)
    execution = an_execution(twin, description="Counts of one day", tags=["traffic", "daily"], start_timestamp=BEGAN)
    step = a_step(execution, started_at=BEGAN, ended_at=BEGAN)
    output = an_output(step, public=True, file_size=1, file_type="text/csv")
    each_of_user = (tree.twins, tree.twins * tree.executions, tree.twins * tree.executions * tree.steps)

    def own_user(n: int) -> Row:
        name = f"user-{n:06}"
        return {"displayName": name, "email": f"{name}@people.example", "github": name}

    def own_twin(n: int) -> Row:
        return {"userRef": id_of(User, n // tree.twins), "name": f"twin-{n % tree.twins}", **made_at(n)}

    def own_execution(n: int) -> Row:
        twin, number = divmod(n, tree.executions)
        refs = {"digitalTwinRef": id_of(DigitalTwin, twin), "ownerRef": id_of(User, twin // each_of_user[0])}
        return {**refs, "title": f"Run number {number}", "start_timestamp": at(n), **made_at(n)}

    def own_step(n: int) -> Row:
        execution, number = divmod(n, tree.steps)
        refs = {"executionRef": id_of(Execution, execution), "ownerRef": id_of(User, execution // each_of_user[1])}
        times = {"created_at": at(n), "start_timestamp": at(n), "end_timestamp": at(n + 7)}
        return {**refs, "key": f"step-{number}", "ordinal": number, **times}

    def own_output(n: int) -> Row:
        step = n // tree.outputs
        refs = {"stepRef": id_of(Step, step), "ownerRef": id_of(User, step // each_of_user[2])}
        return {
            **refs,
            "file_name": f"output-{n}.csv",
            "s3_key": f"outputs/{n}",
            "file_size": 1_000 + 7 * n,
            **made_at(n),
        }

    kinds = (user, twin, execution, step, output)
    owns = (own_user, own_twin, own_execution, own_step, own_output)
    return [Level(like, count, own) for like, count, own in zip(kinds, tree.levels, owns, strict=True)]
