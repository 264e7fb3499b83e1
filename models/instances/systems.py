"""The linear systems of the random walker: build, factorise and solve one per component.

With nodes in Cuthill-McKee order a component of thin cell edges is a matrix of narrow band, which
LAPACK factorises several times faster than a general sparse solver.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Solver = Callable[[NDArray[np.float64]], NDArray[Any]]

WIDEST_BAND = 150
"""Above this a general sparse factorisation needs less memory and time than a band."""
COLUMNS_AT_ONCE = 32
"""Seeds solved for together; bounds the memory of a component with a thousand seeds."""
TIE = 1e-9
"""Probabilities closer than this are equal: rounding must not decide who owns a pixel."""


@dataclass(frozen=True, slots=True)
class Edges:
    """The four edges of each unlabelled pixel (node); nodes of a component are in a row."""

    weight: NDArray[np.float64]
    """(m, 4), 0 where there is no edge."""
    node: NDArray[np.int32]
    """(m, 4) the node at the other end, -1 when it is none."""
    seed: NDArray[np.int32]
    """(m, 4) number of the seed at the other end within the component, -1 when it is none."""

    def part(self, start: int, stop: int) -> Edges:
        """Return the nodes of one component, numbered from 0."""
        here = np.s_[start:stop]
        return Edges(self.weight[here], self.node[here] - start, self.seed[here])


class _OneBlasThread:
    """Keeps BLAS to one thread as long as anybody is inside: the limit is one for the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._limit: threadpool_limits | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._limit is None:
                self._limit = threadpool_limits(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0 and self._limit is not None:
                self._limit.restore_original_limits()
                self._limit = None


_one_blas_thread = _OneBlasThread()


def most_probable(edges: Edges, bounds: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return for each node the number, within its component, of the seed a walk most likely hits.

    Parameters
    ----------
    edges : Edges
        Of all components, one after the other.
    bounds : (n components + 1,)
        Where each component starts and the last one ends.
    """
    winner = np.zeros(len(edges.weight), np.int64)
    # BLAS threads gain nothing on bands this narrow, and wait for each other on a busy machine:
    # 7 s instead of 0.04 s were measured.
    with _one_blas_thread:
        for start, stop in pairwise(bounds.tolist()):
            winner[start:stop] = _winner(edges.part(start, stop))
    return winner


def _winner(edges: Edges) -> NDArray[np.int64]:
    """Return the first seed of highest probability for each node of one component."""
    solve = _factorise(edges)
    best = np.full(len(edges.weight), -np.inf)
    winner = np.zeros(len(edges.weight), np.int64)
    for first, towards in _right_sides(edges):
        probability = solve(towards)
        highest = probability.max(axis=1)
        # argmax of the comparison is the first column within a tie of the highest.
        leader = (probability >= highest[:, None] - TIE).argmax(axis=1)
        better = highest > best + TIE
        winner[better] = leader[better] + first
        best[better] = highest[better]
    return winner


def _right_sides(edges: Edges) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Give the weights towards each seed, some seeds at a time, with the first seed's number."""
    row, way = np.nonzero(edges.seed >= 0)
    seed, weight = edges.seed[row, way], edges.weight[row, way]
    n_seeds = int(seed.max()) + 1
    for first in range(0, n_seeds, COLUMNS_AT_ONCE):
        towards = np.zeros((len(edges.weight), min(COLUMNS_AT_ONCE, n_seeds - first)), order="F")
        some = (seed >= first) & (seed < first + COLUMNS_AT_ONCE)
        np.add.at(towards, (row[some], seed[some] - first), weight[some])
        yield first, towards


def _factorise(edges: Edges) -> Solver:
    """Return the solver of one component's Laplacian, restricted to its unlabelled pixels."""
    row, way = np.nonzero(edges.node > np.arange(len(edges.node))[:, None])
    column, weight = edges.node[row, way], edges.weight[row, way]
    diagonal = edges.weight.sum(axis=1)
    band = int((column - row).max(initial=0))
    if band > WIDEST_BAND:
        return _sparse_solver(row, column, weight, diagonal)
    matrix = np.zeros((band + 1, len(diagonal)), order="F")
    matrix[0] = diagonal
    matrix[column - row, row] = -weight
    factor = cholesky_banded(matrix, overwrite_ab=True, lower=True, check_finite=False)
    return lambda b: cho_solve_banded((factor, True), b, overwrite_b=True, check_finite=False)


def _sparse_solver(
    row: NDArray[np.intp],
    column: NDArray[np.int32],
    weight: NDArray[np.float64],
    diagonal: NDArray[np.float64],
) -> Solver:
    n_nodes = len(diagonal)
    each = np.arange(n_nodes)
    values = np.concatenate([-weight, -weight, diagonal])
    places = np.concatenate([row, column, each]), np.concatenate([column, row, each])
    matrix = sparse.csc_array((values, places), (n_nodes, n_nodes))
    # The matrix is symmetric and diagonally dominant: no pivoting is needed.
    solve: Solver = splu(
        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    ).solve
    return solve
