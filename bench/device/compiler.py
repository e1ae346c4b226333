"""Keep torch's compiler out of processes that compile nothing.

torch's optimisers import `torch._dynamo`, some three seconds of a processor, only to tell it at every step not to trace
them; a group of processes, only to have it forget what it never knew. A module stands in for it that says the same;
whoever asks it for anything else (`torch.compile`, `torch.export`) gets the real one, imported then.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

NAME = "torch._dynamo"


class NoRules:
    """What `init_process_group` asks of torch._dynamo.trace_rules where nothing is ever traced."""

    @staticmethod
    def clear_lru_cache() -> None:
        """Nothing was looked up."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_real().trace_rules, name)


class NothingToCompile(ModuleType):
    """What an optimiser or a group of processes asks of torch._dynamo where nothing is ever traced."""

    trace_rules = NoRules()

    @staticmethod
    def disable(fn: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """The function itself: nothing traces it."""
        return fn

    @staticmethod
    def graph_break(*_: Any) -> None:
        """There is no graph."""

    def __getattr__(self, name: str) -> Any:
        if name in ("__spec__", "__file__", "__loader__"):  # asked of every module in passing
            raise AttributeError(name)
        return getattr(_real(), name)


def keep_out() -> None:
    """From now on in this process; does nothing where the compiler is there already. Imports nothing."""
    sys.modules.setdefault(NAME, NothingToCompile(NAME))


def _real() -> ModuleType:
    if isinstance(sys.modules.get(NAME), NothingToCompile):
        del sys.modules[NAME]
    return importlib.import_module(NAME)
