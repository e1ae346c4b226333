"""The one answer every method gives: an `Architecture`, independent of the method that found it.

On disk an architecture is `architecture.json`, with `architecture.safetensors` (bit-packed) beside it when it
carries weight masks. Loading never executes code: JSON and safetensors only.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from methods.domain import shown
from methods.form import ArchitectureError as ArchitectureError
from methods.form import check_form, read_document

if TYPE_CHECKING:  # torch takes seconds and half a gigabyte; reading records of unmasked architectures does without
    from torch import Tensor

FORMAT_VERSION = 1
JSON_NAME = "architecture.json"
MASKS_NAME = "architecture.safetensors"


@dataclass(frozen=True, eq=False)
class Architecture:
    """A discrete network, up to the number of classes.

    Attributes:
        space: name of the search space that can build it (`methods.spaces.get_space`).
        genotype: the topology, as JSON values; its form belongs to the space.
        scale: what the architecture fixes of its own size, e.g. `{"channels": 24, "cells": 8}`. Empty means that
            the experiment chooses (as DARTS searches with 8 cells and evaluates with 20).
        widths: channels of each named channel group that differs from the scale's default.
        masks: for each masked parameter (by its name in the built network) a bool tensor of the parameter's shape,
            True where the weight is kept.
        provenance: who found it, from what, with which seeds. Not part of the digest.
    """

    space: str
    genotype: Mapping[str, Any]
    scale: Mapping[str, Any] = field(default_factory=dict)
    widths: Mapping[str, int] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of everything that decides the built network."""
        identity = {"space": self.space, "genotype": self.genotype, "scale": self.scale, "widths": self.widths}
        sha = hashlib.sha256(canonical_json(identity).encode())
        for name in sorted(self.masks):
            mask = self.masks[name]
            sha.update(f"{name}{tuple(mask.shape)}".encode())
            sha.update(_pack(mask).numpy().tobytes())
        return sha.hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Everything but the mask values, as JSON values; masks appear by shape and kept count."""
        return {
            "format": FORMAT_VERSION,
            "space": self.space,
            "genotype": _plain(self.genotype),
            "scale": _plain(self.scale),
            "widths": dict(self.widths),
            "masks": {n: {"shape": list(m.shape), "kept": int(m.sum())} for n, m in sorted(self.masks.items())},
            "digest": self.digest,
            "provenance": _plain(self.provenance),
        }

    def to_files(self) -> dict[str, bytes]:
        """The content of `architecture.safetensors`, if there are masks, and of `architecture.json`; in that order."""
        files = {MASKS_NAME: _packed(self.masks)} if self.masks else {}
        return {**files, JSON_NAME: (json.dumps(self.to_json(), indent=1) + "\n").encode()}

    def save(self, folder: Path) -> Path:
        """Write `architecture.json` (last) and, if there are masks, `architecture.safetensors` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.to_files().items():
            temporary = folder / f"{name}.tmp"
            temporary.write_bytes(content)
            temporary.replace(folder / name)
        return folder / JSON_NAME

    @classmethod
    def load(cls, path: Path) -> Architecture:
        """Read an architecture from its folder or its JSON file.

        Raises:
            ArchitectureError: not there, not valid JSON, of another format version, or not matching its digest.
        """
        path = path / JSON_NAME if os.path.isdir(path) else path
        return cls.from_json(read_document(path), source=path)

    @classmethod
    def from_json(cls, document: Any, source: Path | None = None) -> Architecture:
        """Inverse of `to_json`; mask values are read from the safetensors file beside `source`."""
        where = str(source or "architecture")
        check_form(document, where, FORMAT_VERSION)
        architecture = cls(
            space=document["space"],
            genotype=document["genotype"],
            scale=document.get("scale", {}),
            widths=document.get("widths", {}),
            masks=_load_masks(document.get("masks", {}), source, where),
            provenance=document.get("provenance", {}),
        )
        if document.get("digest", architecture.digest) != architecture.digest:
            raise ArchitectureError(
                f"{where}: digest {shown(document['digest'])} does not match its content ({architecture.digest}): "
                "the file was edited or damaged; remove the 'digest' key if the edit was meant"
            )
        return architecture


def _load_masks(described: Mapping[str, Any], source: Path | None, where: str) -> dict[str, Tensor]:
    if not described:
        return {}
    if source is None:
        raise ArchitectureError(f"{where}: masks are named but there is no file to read them from")
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        packed = load_file(source.parent / MASKS_NAME)
    except (FileNotFoundError, SafetensorError, OSError) as error:
        raise ArchitectureError(f"{where}: cannot read its masks from {source.parent / MASKS_NAME}: {error}") from None
    missing = sorted(set(described) - set(packed))
    if missing:
        raise ArchitectureError(f"{where}: masks {missing[:3]} are missing from {MASKS_NAME}")
    masks = {}
    for name, entry in described.items():
        shape, stored = entry["shape"], packed[name]
        if stored.dtype != torch.uint8 or stored.numel() != (math.prod(shape) + 7) // 8:
            raise ArchitectureError(f"{where}: mask '{name}' in {MASKS_NAME} is not of the shape {shape}")
        masks[name] = _unpack(stored, shape)
        if entry.get("kept", kept := int(masks[name].sum())) != kept:
            raise ArchitectureError(f"{where}: mask '{name}' keeps {kept} weights, not {shown(entry['kept'])}")
    return masks


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces; the input of every digest and signature."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types of most values in a configuration; asked first, since thousands of them are gone through at a time."""


def _plain(value: Any) -> Any:
    if type(value) in PLAIN:
        return value
    if type(value) is dict or isinstance(value, Mapping):
        return {str(key): item if type(item) in PLAIN else _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _packed(masks: Mapping[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: _pack(mask) for name, mask in masks.items()})


def _pack(mask: Tensor) -> Tensor:
    import torch

    return torch.from_numpy(np.packbits(mask.detach().cpu().numpy().astype(bool).ravel()))


def _unpack(packed: Tensor, shape: list[int]) -> Tensor:
    import torch

    bits = np.unpackbits(packed.numpy(), count=math.prod(shape))
    return torch.from_numpy(bits.astype(bool)).reshape(shape)
