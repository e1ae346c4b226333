"""How well the scores of a row's searches order their proposals, beside the table's test accuracies."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from reports.lookups.rows import LookupRow


def taus(row: LookupRow) -> npt.NDArray[np.float64]:
    """Kendall's tau-b of every search that it is defined for."""
    found = [each["kendall_tau"] for each in row.agreements]
    return np.array([tau for tau in found if tau is not None], np.float64)


def shares(row: LookupRow, k: int) -> npt.NDArray[np.float64]:
    """Share of the k proposals with the best scores that are among the k truly best, in percent; one a search."""
    return np.array([100.0 * each["top"][k] for each in row.agreements if k in each["top"]], np.float64)


def tops(rows: Iterable[LookupRow]) -> list[int]:
    """Every k there is a share for."""
    return sorted({k for row in rows for each in row.agreements for k in each["top"]})


def agreement_note(row: LookupRow) -> str:
    """What the numbers are of, and what chance gives; "" for a row whose searches gave no scores."""
    if not row.agreements:
        return ""
    counts = sorted({each["networks"] for each in row.agreements})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    said = f"its scores order {each} networks a seed, compared with their test accuracies on {row.setting.dataset}"
    found = taus(row)
    parts = [f"Kendall's tau {found.mean():.2f}{_spread(found)}" if len(found) else "Kendall's tau not defined"]
    if 0 < len(found) < len(row.agreements):
        parts[0] += f" (of {len(found)} of {len(row.agreements)} seeds; of the others it is not defined)"
    for k in tops([row]):
        chance = 100.0 * float(np.mean([k / each["networks"] for each in row.agreements if k in each["top"]]))
        parts.append(f"{shares(row, k).mean():.0f} % of the best {k} in common, by chance {chance:.0f} %")
    return f"{row.label}: {said}: {'; '.join(parts)}"


def tau_text(row: LookupRow) -> str:
    found = taus(row)
    return f"{found.mean():.2f}{_spread(found)}" if len(found) else ""


def _spread(values: npt.NDArray[np.float64]) -> str:
    return f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
