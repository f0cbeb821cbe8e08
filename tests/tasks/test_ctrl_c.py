import signal
import threading

import pytest

from aigc_cli.tasks.ctrl_c import ctrl_c_held_back


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_it_waits_until_it_is_released() -> None:
    steps = []

    def interrupted() -> None:
        with ctrl_c_held_back() as release:
            press()
            press()
            steps.append("started")
            try:
                release()
                steps.append("never")
            finally:
                steps.append("ended")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == ["started", "ended"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_after_that_it_is_heard_at_once() -> None:
    steps = []

    def interrupted() -> None:
        with ctrl_c_held_back() as release:
            release()
            release()
            press()
            steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == []


def test_the_end_of_the_block_releases_it() -> None:
    with pytest.raises(KeyboardInterrupt), ctrl_c_held_back():
        press()
    with ctrl_c_held_back() as release:
        pass
    release()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_it_is_ignored_or_not_heard_nothing_changes() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c_held_back() as release:
            press()
            release()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    seen = []

    def elsewhere() -> None:
        with ctrl_c_held_back():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]
