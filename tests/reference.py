"""Independent implementations, in NumPy, of what the package computes."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def linear_cka(x: Matrix, y: Matrix) -> float:
    """Kornblith et al. 2019, with explicit centring matrices."""
    n = len(x)
    h = np.eye(n) - 1 / n

    def hsic(a: Matrix, b: Matrix) -> float:
        return float(np.trace(a @ a.T @ h @ b @ b.T @ h))

    return float(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))


def debiased_cka(x: Matrix, y: Matrix) -> float:
    """Song et al. 2012, eq. 5: Gram matrices without their diagonals. Centring first changes
    nothing but digits.
    """
    x, y = x - x.mean(0), y - y.mean(0)
    n = len(x)
    one = np.ones(n)

    def hsic(a: Matrix, b: Matrix) -> float:
        k, m = a @ a.T, b @ b.T
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        total = (
            np.trace(k @ m)
            + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (one @ k @ m @ one)
        )
        return float(total / (n * (n - 3)))

    return float(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))


def linear_inversion(matrix: Matrix, start: Matrix, target: Matrix) -> Matrix:
    """The point nearest to `start` that the linear model x ↦ matrix x maps to `target`."""
    return start + np.linalg.pinv(matrix) @ (target - matrix @ start)


def cka_of_many(x: Matrix, y: Matrix, *, debiased: bool) -> float:
    """The same two measures with no n × n matrix, in the longest float there is; for many rows of
    few columns.
    """
    u, v = (np.asarray(s, np.longdouble) - np.asarray(s, np.longdouble).mean(0) for s in (x, y))
    n = len(u)

    def hsic(a: NDArray[np.longdouble], b: NDArray[np.longdouble]) -> np.longdouble:
        all_pairs = ((a.T @ b) ** 2).sum()
        if not debiased:
            return np.longdouble(all_pairs)
        k, m = (a**2).sum(1), (b**2).sum(1)  # the diagonals of the Gram matrices
        k_rows, m_rows = a @ a.sum(0) - k, b @ b.sum(0) - m  # row sums without the diagonals
        total = (
            all_pairs
            - (k * m).sum()
            + k_rows.sum() * m_rows.sum() / ((n - 1) * (n - 2))
            - 2 / np.longdouble(n - 2) * (k_rows * m_rows).sum()
        )
        return np.longdouble(total)

    return float(hsic(u, v) / np.sqrt(hsic(u, u) * hsic(v, v)))
