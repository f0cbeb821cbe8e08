"""Who is next: in rotation over the clients, and as it was foretold."""

from hypothesis import given
from hypothesis import strategies as st

from aigc_cli.serve.line import Line

CLIENTS = st.lists(st.sampled_from("abcd"), max_size=30)


def filled(clients: list[str]) -> Line[tuple[str, int]]:
    line: Line[tuple[str, int]] = Line()
    for number, client in enumerate(clients):
        line.join(client, (client, number))
    return line


def drained(line: Line[tuple[str, int]]) -> list[tuple[str, int]]:
    served = []
    while (item := line.next()) is not None:
        served.append(item)
    return served


def test_one_request_does_not_wait_for_all_of_another_client() -> None:
    line = filled(["many", "many", "many", "one"])
    assert [client for client, _ in drained(line)] == ["many", "one", "many", "many"]


@given(CLIENTS)
def test_everybody_is_served_once_and_as_foretold(clients: list[str]) -> None:
    line = filled(clients)
    foretold = line.in_order()
    assert len(line) == len(clients)
    served = drained(line)
    assert served == foretold
    assert sorted(served, key=lambda item: item[1]) == list(zip(clients, range(len(clients)), strict=True))


@given(CLIENTS)
def test_nobody_is_served_twice_while_another_waits_for_the_first_time(clients: list[str]) -> None:
    order = [client for client, _ in filled(clients).in_order()]
    for rank in range(max(map(clients.count, clients), default=0)):
        busy = {client for client in clients if clients.count(client) > rank}
        assert set(order[: len(busy)]) == busy
        order = order[len(busy) :]


@given(CLIENTS, st.data())
def test_who_leaves_is_not_served(clients: list[str], data: st.DataObject) -> None:
    line = filled(clients)
    items = line.in_order()
    gone = data.draw(st.sets(st.sampled_from(items))) if items else set()
    for item in gone:
        line.leave(item[0], item)
        line.leave(item[0], item)
    left = line.in_order()
    assert set(left) == set(items) - gone
    assert drained(line) == left
