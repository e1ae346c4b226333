"""Records that travel: packed into pieces, carried, restored and continued; and what stops that says so."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.records import packing
from bench.records.directory import RecordError, RunDirectory
from bench.records.lease import hold
from bench.records.manifest import ARCHIVE_NAME, MANIFEST_NAME, Manifest, read_manifest, write_manifest
from bench.records.packing import pack
from bench.records.pieces import Piece, PieceWriter
from bench.records.unpacking import unpack
from bench.run.one_run import DONE, INTERRUPTED, execute
from tests.bench.test_resume import StopAfter, outcome

SIZE = 2000


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A RUNS_DIR with what a real one has: a run with checkpoint and lease, files beside, and what does not travel."""
    root = tmp_path / "runs"
    for name, content in {
        "tiny-tiny/train-a-0123456789/run.json": b"{}",
        "tiny-tiny/train-a-0123456789/metrics.jsonl": b"".join(hashlib.sha256(bytes([n])).digest() for n in range(199)),
        "tiny-tiny/train-a-0123456789/weights.safetensors": b"\x00\x01" * 50,
        "tiny-tiny/train-a-0123456789/checkpoints/epoch-00001-step-0000002.pt": b"kept",
        "tiny-tiny/train-a-0123456789/.result.json.abc.tmp": b"half",
        "tiny-tiny/numbers.csv": b"row,energy\n",
        "tiny-tiny/slurm/code/module.py": b"",
        "calibration.json": b'{"here": 1}',
        "tiny-tiny.again.json": b"{}",
        "latency/chain.jsonl": b"[]\n",
        "mlflow.db": b"db",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    with hold(root / RUN):
        pass
    return root


RUN = Path("tiny-tiny", "train-a-0123456789")
TRAVELS = {
    f"{RUN}/run.json",
    f"{RUN}/metrics.jsonl",
    f"{RUN}/weights.safetensors",
    f"{RUN}/checkpoints/epoch-00001-step-0000002.pt",
    "tiny-tiny/numbers.csv",
    "calibration.json",
    "latency/chain.jsonl",
}


def packed(runs: Path, name: str = "packed", records_only: bool = False) -> Path:
    to = runs.parent / name
    pack(runs, [runs / "tiny-tiny"], to, SIZE, records_only)
    return to


def contents(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_a_round_trip_gives_the_same_bytes_in_pieces_of_the_size(runs: Path, tmp_path: Path) -> None:
    to = packed(runs)
    pieces = sorted(to.glob(f"{ARCHIVE_NAME}.*"))
    sizes = [path.stat().st_size for path in pieces]
    assert [path.suffix for path in pieces] == [f".{n:03d}" for n in range(len(pieces))]
    assert len(sizes) > 1
    assert set(sizes[:-1]) == {SIZE}
    assert 0 < sizes[-1] <= SIZE
    assert {path.name for path in to.iterdir()} == {path.name for path in pieces} | {MANIFEST_NAME}
    assert unpack(to, tmp_path / "new").new == 1
    assert contents(tmp_path / "new") == {name: (runs / name).read_bytes() for name in TRAVELS}
    assert contents(packed(runs, "again")) == contents(to)


def test_records_only_leaves_weights_and_checkpoints(runs: Path, tmp_path: Path) -> None:
    unpack(packed(runs, records_only=True), tmp_path / "new")
    assert set(contents(tmp_path / "new")) == {n for n in TRAVELS if "checkpoints" not in n and "weights" not in n}


def test_a_run_goes_on_elsewhere_with_the_same_bits(
    tiny_runs: Callable[..., list[RunDirectory]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tiny_runs("DARTS_V2", folder="whole")[0], tiny_runs("DARTS_V2", folder="cut")[0]
    assert execute(whole.path, "cpu") == DONE
    assert execute(cut.path, "cpu", StopAfter(5)) == INTERRUPTED
    to, elsewhere = tmp_path / "packed", tmp_path / "elsewhere"
    assert main(["pack", str(to), "tiny", "--runs-dir", str(tmp_path / "cut"), "--piece-size", "10K"]) == 0
    assert len(read_manifest(to).pieces) > 1
    assert main(["unpack", str(to), "--runs-dir", str(elsewhere)]) == 0
    assert "1 run restored in" in capsys.readouterr().out
    there = RunDirectory(elsewhere / cut.path.relative_to(tmp_path / "cut"))
    assert there.read_info().status == "interrupted"
    assert list(there.checkpoints.glob("*.pt"))
    assert execute(there.path, "cpu") == DONE
    assert outcome(there) == outcome(whole)


def cut_short(piece: Path) -> None:
    piece.write_bytes(piece.read_bytes()[:-1])


def change(piece: Path) -> None:
    content = piece.read_bytes()
    piece.write_bytes(bytes([content[0] ^ 1]) + content[1:])


@pytest.mark.parametrize(
    ("damage", "said"), [(Path.unlink, "is missing"), (cut_short, "1999 of 2000 bytes"), (change, "was changed")]
)
def test_a_damaged_piece_is_named(damage: Callable[[Path], None], said: str, runs: Path, tmp_path: Path) -> None:
    to = packed(runs)
    damage(to / f"{ARCHIVE_NAME}.001")
    with pytest.raises(RecordError, match=rf"{ARCHIVE_NAME}\.001, piece 2 of \d, .*{said}"):
        unpack(to, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_being_done_is_refused(runs: Path) -> None:
    with (
        hold(runs / RUN),
        pytest.raises(RecordError, match=r"train-a-0123456789 is being done by process \d+"),
    ):
        packed(runs)
    assert {path.name for path in runs.parent.iterdir()} == {"runs"}
    packed(runs)


def test_a_run_that_was_begun_meanwhile_is_noticed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = packing._write

    def slowly(files: list[tuple[str, Path]], to: PieceWriter) -> int:
        with hold(runs / RUN):
            pass
        return write(files, to)

    monkeypatch.setattr(packing, "_write", slowly)
    with pytest.raises(RecordError, match="was begun while it was packed"):
        packed(runs)
    assert {path.name for path in runs.parent.iterdir()} == {"runs"}


def forged(folder: Path, member: tarfile.TarInfo) -> Path:
    """A well-formed pack whose archive holds a member that no pack has."""
    folder.mkdir()
    with PieceWriter(folder, ARCHIVE_NAME, SIZE) as writer, tarfile.open(mode="w:xz", fileobj=writer) as archive:
        archive.addfile(member, io.BytesIO(b"evil"[: member.size]))
    write_manifest(folder, Manifest(False, {}, 1, 4, writer.whole.hexdigest(), writer.pieces))
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("../outside", tarfile.REGTYPE, "outside the destination"),
        ("a/../../../outside", tarfile.REGTYPE, "outside the destination"),
        ("tiny-tiny/link", tarfile.SYMTYPE, "is not a file"),
    ],
)
def test_a_hostile_member_is_refused(name: str, kind: bytes, said: str, tmp_path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, 4 * (kind == tarfile.REGTYPE), "/etc"
    with pytest.raises(RecordError, match=said):
        unpack(forged(tmp_path / "packed", member), tmp_path / "new")
    assert not contents(tmp_path / "new")
    assert not (tmp_path / "outside").exists()


def test_a_manifest_names_no_file_elsewhere(runs: Path, tmp_path: Path) -> None:
    to = packed(runs)
    manifest = read_manifest(to)
    write_manifest(to, replace(manifest, pieces=[Piece("../secret", 1, "")]))
    with pytest.raises(RecordError, match=r"'\.\./secret' is no piece's name"):
        unpack(to, tmp_path / "new")


def test_what_is_there_is_left_or_refused(runs: Path) -> None:
    to = packed(runs)
    (runs / RUN / "architecture.svg").write_text("drawn here")
    found = unpack(to, runs)
    assert (found.new, found.same) == (0, 1)
    (runs / RUN / "metrics.jsonl").write_bytes(b"other")
    (runs / "latency" / "chain.jsonl").unlink()
    before = contents(runs)
    with pytest.raises(RecordError, match="train-a-0123456789 is there with other content; nothing was changed"):
        unpack(to, runs)
    assert contents(runs) == before


def test_measurements_of_another_machine_are_added(runs: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "calibration.json").write_text('{"there": 2}')
    unpack(packed(runs), here)
    assert json.loads((here / "calibration.json").read_text()) == {"here": 1, "there": 2}
    (here / "calibration.json").write_text('{"here": 3}')
    unpack(packed(runs, "again"), here)
    assert json.loads((here / "calibration.json").read_text()) == {"here": 3}


def test_nothing_is_packed_over_something(runs: Path) -> None:
    to = packed(runs)
    before = contents(to)
    with pytest.raises(RecordError, match="packed is there already; name a new folder"):
        packed(runs)
    assert contents(to) == before
