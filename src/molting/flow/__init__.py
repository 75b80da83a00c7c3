"""The main job as a list of stages, read top to bottom. Each one finds its result or makes it.

read → curate → check → train → evaluate → report
"""

from __future__ import annotations

from molting.flow.measuring import evaluated, questioned, scored_replies, speaking
from molting.flow.rows import Inputs, curated, decided, read_inputs, semantic_finder, undecided
from molting.flow.tuning import assisted, measured_depths, molt_corpus, molt_fingerprint, trained

__all__ = [
    "Inputs",
    "assisted",
    "curated",
    "decided",
    "evaluated",
    "measured_depths",
    "molt_corpus",
    "molt_fingerprint",
    "questioned",
    "read_inputs",
    "scored_replies",
    "semantic_finder",
    "speaking",
    "trained",
    "undecided",
]
