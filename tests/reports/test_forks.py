"""Jobs shared by forks: the answers are those of one process, whatever becomes of a fork."""

import os
import signal
import threading
from functools import partial

import pytest

from reports.forks import in_forks


@pytest.fixture
def two(monkeypatch):
    """Two processors, and no thread beside this one, which some runners of tests have."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.mark.usefixtures("two")
def test_answers_come_in_the_order_of_the_jobs_from_other_processes():
    answers = in_forks([lambda number=number: (number, os.getpid()) for number in range(9)])
    assert [number for number, _ in answers] == list(range(9))
    assert os.getpid() not in {pid for _, pid in answers}


@pytest.mark.usefixtures("two")
def test_the_first_error_is_raised_as_it_was():
    def fail(name):
        raise OSError(28, "No space left on device", name)

    with pytest.raises(OSError, match="No space left on device: 'a'"):
        in_forks([int, partial(fail, "a"), partial(fail, "b")])


@pytest.mark.usefixtures("two")
def test_what_a_dead_fork_leaves_is_done_here():
    here = os.getpid()

    def die_elsewhere():
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return os.getpid()

    assert in_forks([die_elsewhere] * 3) == [here] * 3


@pytest.mark.usefixtures("two")
def test_an_answer_that_cannot_be_sent_is_made_here():
    assert [answer() for answer in in_forks([lambda: lambda: 3] * 2)] == [3, 3]


def test_nothing_is_forked_beside_a_thread_or_for_one_job(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert in_forks([os.getpid]) == [os.getpid()]
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert in_forks([os.getpid] * 3) == [os.getpid()] * 3
