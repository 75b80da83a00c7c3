"""MinHash signatures (Broder 1997), one byte a permutation, and how they are cut into bands.

A byte is the hash of the smallest value, so that four of them are a band's key. Two members of
similarity J agree in a byte with probability J + (1 − J)/256. The more members there are, the more
bytes make a band, because what agrees by chance grows with the square of the members:

    members      bytes a band   bands   missed at J =  0.5     0.6     0.7     0.8
    to 1,000     every pair is looked at
    to 100,000   3              64                    2e-4    2e-7    2e-12   1e-20
    beyond       4              48                    0.04    1e-3    2e-6    1e-11
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from molting.signals.shingles import Grams

PERMUTATIONS = 192
_SEED = 7
_CHUNK = 1 << 17
_SPREAD = np.uint32(0x9E3779B1)

Signatures = npt.NDArray[np.uint8]
"""Shape (members, PERMUTATIONS)."""


def signatures(grams: Grams) -> Signatures:
    """The signature of each member; every member has at least one n-gram.

    A permutation is a multiplication by an odd number modulo 2³² of what is random already (the
    n-grams are hashes).
    """
    factors = np.random.default_rng(_SEED).integers(0, 1 << 31, PERMUTATIONS, dtype=np.uint32)
    factors = factors * np.uint32(2) + np.uint32(1)
    values = (grams.values >> np.uint64(18)).astype(np.uint32)
    offsets = grams.offsets
    members = len(offsets) - 1
    found = np.empty((members, PERMUTATIONS), dtype=np.uint8)
    start = 0
    while start < members:
        # As much at a time as stays in the processor's cache for all the permutations.
        stop = int(np.searchsorted(offsets, offsets[start] + _CHUNK, side="right")) - 1
        stop = min(max(stop, start + 1), members)
        part = values[offsets[start] : offsets[stop]]
        begins = offsets[start:stop] - offsets[start]
        product = np.empty_like(part)
        rows = np.empty((PERMUTATIONS, stop - start), dtype=np.uint8)
        for row, factor in zip(rows, factors, strict=True):
            np.multiply(part, factor, out=product)
            least = np.minimum.reduceat(product, begins)
            least *= _SPREAD
            row[:] = least >> np.uint32(24)
        found[start:stop] = rows.T
        start = stop
    return found


class Banding(msgspec.Struct, frozen=True):
    """How many bytes of the signature make a band, and how many bands that gives."""

    bytes: int

    @property
    def bands(self) -> int:
        return PERMUTATIONS // self.bytes

    def keys(self, signed: Signatures, band: int) -> npt.NDArray[np.uint64]:
        """The key of each member in a band; equal keys make a candidate pair."""
        key = np.zeros(len(signed), dtype=np.uint64)
        for column in range(band * self.bytes, (band + 1) * self.bytes):
            key = (key << np.uint64(8)) | signed[:, column]
        return key

    def missed(self, similarity: float) -> float:
        """Odds that a pair of this similarity is never a candidate."""
        agree = similarity + (1 - similarity) / 256
        return float((1 - agree**self.bytes) ** self.bands)


def banding(members: int) -> Banding:
    """The banding for so many members, see the table above."""
    return Banding(3 if members <= 100_000 else 4)


def agreement(left: Signatures, right: Signatures) -> npt.NDArray[np.int64]:
    """In how many bytes the rows of two equally long sets of signatures agree."""
    same = (left == right).view(np.uint8)
    # Eight bytes are added at once; 24 ones fit in each of them, and 192 in their sum.
    lanes = np.ascontiguousarray(same).view(np.uint64).sum(axis=1, dtype=np.uint64)
    summed = (lanes * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return np.asarray(summed, dtype=np.int64)


def least_agreement(floor: float) -> int:
    """Bytes that all but one in three million pairs of similarity `floor` agree in."""
    expected = PERMUTATIONS * floor
    return int(max(0.0, expected - 5 * (expected * (1 - floor)) ** 0.5))
