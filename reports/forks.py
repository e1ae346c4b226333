"""Jobs shared by forks of this process, one fork for each of its processors."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Job = Callable[[], T]


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a job returned or raised."""

    value: T | None = None
    error: Exception | None = None


def in_forks(jobs: Sequence[Job[T]]) -> list[T]:
    """What each job returns, in their order; an answer comes back pickled, and nothing else does.

    Done here are jobs whose fork is gone, and all of them where a fork gains nothing (one processor, one job) or is not
    safe: beside another thread, whose locks it would have and never see released.

    Raises:
        whatever the first of them raises that does.
    """
    workers = min(len(jobs), len(os.sched_getaffinity(0)))
    alone = threading.active_count() == 1
    answers = _shared(jobs, workers) if workers > 1 and alone else {}
    return [_value(answers[number]) if number in answers else job() for number, job in enumerate(jobs)]


def _value(answer: Answer[T]) -> T:
    if answer.error is not None:
        raise answer.error
    return answer.value  # type: ignore[return-value]


def _shared(jobs: Sequence[Job[T]], workers: int) -> Mapping[int, Answer[T]]:
    """Answers by the number of their job, which is handed to whoever is free; none of jobs whose fork is gone."""
    forks = _started(jobs, workers)
    answers: dict[int, Answer[T]] = {}
    left = iter(range(len(jobs)))
    busy = [fork for fork in forks if _hand(fork, left)]
    while busy:
        ready = wait(busy)
        for fork in [fork for fork in busy if fork in ready]:
            answered = _next_of(fork)
            answers |= answered
            if not answered or not _hand(fork, left):
                busy.remove(fork)
    for fork in forks:
        fork.close()
    return answers


def _next_of(fork: Connection[Any, Any]) -> dict[int, Answer[Any]]:
    """The answer of a fork by its job's number; nothing where the fork is gone."""
    try:
        number, answer = fork.recv()
    except (EOFError, OSError):
        return {}
    return {number: answer}


def _started(jobs: Sequence[Job[T]], workers: int) -> list[Connection[Any, Any]]:
    """A connection to each new fork, which ends when it is closed, or with this process."""
    context, forks = get_context("fork"), []
    for _ in range(workers):
        here, there = context.Pipe()
        forks.append(here)
        context.Process(target=_serve, args=(jobs, there, forks), daemon=True).start()
        there.close()
    return forks


def _hand(fork: Connection[Any, Any], left: Any) -> bool:
    """Give a fork its next job; False where there is none."""
    number = next(left, None)
    if number is None:
        return False
    try:
        fork.send(number)
    except OSError:
        return False  # it is gone: the job is done here
    return True


def _serve(jobs: Sequence[Job[T]], channel: Connection[Any, Any], others: Sequence[Connection[Any, Any]]) -> None:
    """Do jobs, by their numbers, until there is nobody to give one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever waits for the answers
    for other in others:  # of that process: as long as they are open here, nobody sees it end
        other.close()
    while True:
        try:
            number = channel.recv()
        except (EOFError, OSError):
            return
        channel.send((number, _answer(jobs[number])))


def _answer(job: Job[T]) -> Answer[T]:
    try:
        return Answer(job())
    except Exception as error:
        return Answer(error=error)
