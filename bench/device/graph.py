"""A step as a CUDA graph: recorded once, then replayed as one launch instead of thousands of small kernels.

`GraphedStep` runs every batch exactly once. The first steps run eagerly, as real steps of the run; a recording executes
nothing, so the batch at which it is made is then replayed. Whatever a graph would freeze is either a device tensor or
named in `constants`, and a change of those, or of the method's topology (`renew`), makes a new recording.

Eager steps and replays of one step launch the same kernels with the same arguments, and torch's CUDA generator hands a
replay the numbers that the eager step would have drawn (it writes its seed and offset to the device before each
replay, and advances by what the step draws). So a continued run, which begins with eager steps where the uninterrupted
one replayed, may end with the same bits; `tests/bench/test_graph_gpu.py` checks it.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

T = TypeVar("T")
Sums = dict[str, Tensor]

WARM_UP = 3
"""Eager steps of one shape before it is recorded: they create optimiser state and compile kernels."""

SWITCH = "DASBENCH_CUDA_GRAPHS"
"""Environment variable; 0 turns recording off."""

_HOST_SYNC = "called a synchronizing CUDA operation"


class CaptureError(RuntimeError):
    """A step that cannot be recorded."""


class Recording(Protocol):
    """A recorded step, bound to the memory it was recorded with."""

    def replay(self) -> Any:
        """Run it; returns what the step returned, in memory that the next replay overwrites."""

    def release(self) -> None:
        """Give its memory back."""


class Recorder(Protocol):
    """What records steps on a device."""

    def eager(self, work: Callable[[], T]) -> T:
        """Do the work now, where it would be recorded."""

    def rehearse(self, work: Callable[[], T]) -> tuple[T, str | None]:
        """As `eager`; also says what in the work waited for the device, which a graph cannot."""

    def record(self, work: Callable[[], Any]) -> Recording:
        """Record the work without doing it.

        Raises:
            CaptureError: it cannot be recorded.
        """


class CudaRecording:
    def __init__(self, graph: torch.cuda.CUDAGraph, outputs: Any, device: torch.device) -> None:
        self.graph, self.outputs, self.device = graph, outputs, device

    def replay(self) -> Any:
        self.graph.replay()
        return self.outputs

    def release(self) -> None:
        torch.cuda.synchronize(self.device)  # the last replay may still run
        self.outputs = None
        self.graph.reset()


class CudaRecorder:
    """Records with `torch.cuda.graph`.

    Eager steps run on the stream of the recording: autograd runs a parameter's accumulation on the stream on which the
    parameter was first used, and in a recording that must be the recording's own. Each recording has its own memory
    pool, and the allocator takes the pool of a released one back before the next recording begins.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream: torch.cuda.Stream | None = None

    @property
    def stream(self) -> torch.cuda.Stream:
        if self._stream is None:
            self._stream = torch.cuda.Stream(self.device)
        return self._stream

    def eager(self, work: Callable[[], T]) -> T:
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = work()
        current.wait_stream(self.stream)
        return result

    def rehearse(self, work: Callable[[], T]) -> tuple[T, str | None]:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = self.eager(work)
            finally:
                torch.cuda.set_sync_debug_mode(before)
        waits = [f"{w.filename}:{w.lineno} waits for the device" for w in seen if _HOST_SYNC in str(w.message)]
        for other in seen:
            if "ynchroniz" not in str(other.message):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        return result, waits[0] if waits else None

    def record(self, work: Callable[[], Any]) -> CudaRecording:
        gc.collect()  # reference cycles may hold the memory of an earlier topology
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads read image files into pinned memory meanwhile, which mode "global" would forbid.
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                outputs = work()
        except Exception as error:
            first = error.__context__ or error  # the end of the capture complains about what went wrong inside it
            raise CaptureError(f"{type(first).__name__}: {str(first).partition(chr(10))[0]}") from error
        return CudaRecording(graph, outputs, self.device)


_refused: str | None = None


def refuse(reason: str | None) -> None:
    """From now on no step is recorded, for this reason; None takes that back."""
    global _refused
    _refused = reason


def why_not(device: torch.device, processes: int) -> str | None:
    """Why steps on this device are not recorded; None where they are."""
    if device.type != "cuda":
        return "not on a GPU"
    if _refused is not None:
        return f"a recorded step did not prove itself here: {_refused}"
    if processes > 1:
        return "several processes share the run, and their collective operations are not recorded"
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH}=0"
    return None


class GraphedStep:
    """Runs `step(*inputs)` for every batch: eagerly, or as a replay of its recording.

    Args:
        step: a pure device function: no host synchronisation, and nothing read from Python that changes from call to
            call but what is named in `constants`. Returns 0-d device tensors by name.
        recorder: of the device; None runs `step` itself, always.
        on_fallback: told why, if the step turns out not to be recordable; it runs eagerly from then on.
    """

    def __init__(
        self,
        step: Callable[..., Sums],
        recorder: Recorder | None,
        on_fallback: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.step, self.recorder, self.on_fallback = step, recorder, on_fallback
        self.constants: Hashable = None
        self.recording: Recording | None = None
        self.shape: Hashable = None
        self.buffers: list[Any] = []
        self.last_shape: Hashable = None
        self.repeated = 0

    def renew(self) -> None:
        """Forget the recording: the supernet, its parameters or its optimisers are other ones now."""
        if self.recording is not None:
            self.recording.release()
        self.recording, self.shape, self.buffers = None, None, []
        self.last_shape, self.repeated = None, 0

    def __call__(self, *inputs: Any, constants: Hashable = None) -> Sums:
        """One step.

        Args:
            inputs: tensors, None, or tuples of these. A batch of another shape than the recorded one (the last of an
                epoch) runs eagerly; a shape that stays is recorded anew.
            constants: Python values that the step reads and a recording would freeze (a learning rate, say).

        Returns:
            what `step` returned; after a replay in memory that the next call overwrites.
        """
        if self.recorder is None:
            return self.step(*inputs)
        if constants != self.constants:
            self.renew()
            self.constants = constants
        leaves, structure = tree_flatten(inputs)
        shape = (str(structure), tuple(_layout(leaf) for leaf in leaves))
        if self.recording is not None and shape == self.shape:
            self.last_shape = shape
            return self._replay(leaves)
        self.repeated = self.repeated + 1 if shape == self.last_shape else 1
        self.last_shape = shape
        if self.repeated > WARM_UP:
            return self._record(inputs, leaves, structure, shape)
        if self.repeated < WARM_UP:
            return self.recorder.eager(lambda: self.step(*inputs))
        sums, obstacle = self.recorder.rehearse(lambda: self.step(*inputs))
        if obstacle is not None:
            self._give_up(obstacle)
        return sums

    def _record(self, inputs: Any, leaves: list[Any], structure: Any, shape: Hashable) -> Sums:
        assert self.recorder is not None
        if self.recording is not None:
            self.renew()
        buffers = [torch.empty_like(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments = tree_unflatten(buffers, structure)
        try:
            self.recording = self.recorder.record(lambda: self.step(*arguments))
        except CaptureError as error:
            self._give_up(str(error))
            return self.step(*inputs)
        self.shape, self.buffers, self.last_shape = shape, buffers, shape
        return self._replay(leaves)

    def _replay(self, leaves: list[Any]) -> Sums:
        assert self.recording is not None
        for buffer, leaf in zip(self.buffers, leaves, strict=True):
            if isinstance(leaf, Tensor):
                buffer.copy_(leaf, non_blocking=True)
        return self.recording.replay()

    def _give_up(self, reason: str) -> None:
        self.renew()
        self.recorder = None
        warnings.warn(
            f"this step cannot be recorded as a CUDA graph and runs eagerly, to the same result but slower: {reason}. "
            f"Should the next step fail, start again with {SWITCH}=0; the run continues at its checkpoint",
            stacklevel=3,
        )
        self.on_fallback(reason)


def _layout(leaf: Any) -> Hashable:
    return (tuple(leaf.shape), leaf.dtype, leaf.stride()) if isinstance(leaf, Tensor) else leaf
