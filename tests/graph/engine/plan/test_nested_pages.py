"""Big levels are written in batches of about equal work."""

from graph.engine.plan.nested_pages import BYTES_PER_ROW_EQUIVALENT, _page_weights, _split_by_page, _work_batches
from resolvers.concurrency.event_loop import BATCH_ROWS
from resolvers.reads.order import Order
from resolvers.reads.page_request import Page, PageRequest


def a_page(rows: int) -> Page:
    request = PageRequest(size=rows, order=Order.by(), filter={}, fingerprint="")
    return request.page([{"_id": str(number)} for number in range(rows)])


def test_a_page_weighs_its_rows_and_what_their_nested_text_amounts_to() -> None:
    pages = [a_page(2), None, a_page(1)]
    big = b"x" * BYTES_PER_ROW_EQUIVALENT

    assert _page_weights(pages, []) == [3, 1, 2]
    assert _page_weights(pages, [[b"", big, big * 3], [big[1:], b"", big[1:]]]) == [4, 1, 5]


def test_a_batch_is_full_from_the_most_work_on_that_may_be_done_at_once() -> None:
    weights = [BATCH_ROWS - 1, 1, 1, BATCH_ROWS, BATCH_ROWS + 1, 1]

    assert list(_work_batches(weights)) == [slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 6)]
    assert list(_work_batches([1])) == [slice(0, 1)]


def test_texts_are_split_at_the_bounds_of_pages() -> None:
    pages = [a_page(2), None, a_page(1)]

    split = [list(texts) for texts in _split_by_page(pages, [["a", "b", "c"], [1, 2, 3]])]

    assert split == [[["a", "b"], [], ["c"]], [[1, 2], [], [3]]]
