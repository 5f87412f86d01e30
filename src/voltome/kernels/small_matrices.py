"""Small dense algebra inside kernels: a 12x12 Cholesky solve and the composition of affine deformations."""

from __future__ import annotations

import math

from voltome.kernels.compilation import compiled


@compiled()
def factorise(a, factor):
    """Cholesky factor of the symmetric matrix `a`, after scaling its diagonal to one; False where it is singular.

    The scaling makes the pivots comparable: displacements are in voxels, gradients are not.
    """
    n = a.shape[0]
    for i in range(n):
        if not a[i, i] > 0.0:
            return False
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j] / math.sqrt(a[i, i] * a[j, j])
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                if not total > 1e-10:
                    return False
                factor[i, i] = math.sqrt(total)
            else:
                factor[i, j] = total / factor[j, j]
    for i in range(n):
        for j in range(i + 1):
            factor[i, j] *= math.sqrt(a[i, i])
    return True


@compiled()
def solve_factorised(factor, b, x):
    """Solve L L^T x = b."""
    n = factor.shape[0]
    for i in range(n):
        total = b[i]
        for k in range(i):
            total -= factor[i, k] * x[k]
        x[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * x[k]
        x[i] = total / factor[i, i]


@compiled()
def determinant(m):
    """Determinant of the 3x3 part of `m`."""
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


@compiled()
def compose_inverse(phi, step, work):
    """phi <- phi o (I + step)^-1, in place: the inverse-compositional update.

    Parameters
    ----------
    phi : float64 (3, 4)
        F and u.
    step : float64 (12,)
        Increment dF and du, in the order of Phi's rows.
    work : float64 (3, 3, 3)
        Scratch.

    Returns
    -------
    bool
        False where I + step has no inverse; phi is then left as it was.
    """
    a, inverse, new = work[0], work[1], work[2]
    for r in range(3):
        for c in range(3):
            a[r, c] = step[4 * r + c]
        a[r, r] += 1.0
    det = determinant(a)
    if not abs(det) > 1e-6:
        return False
    for r in range(3):
        for c in range(3):
            i, j, k, m = (c + 1) % 3, (c + 2) % 3, (r + 1) % 3, (r + 2) % 3
            inverse[r, c] = (a[i, k] * a[j, m] - a[i, m] * a[j, k]) / det
    for r in range(3):
        for c in range(3):
            new[r, c] = phi[r, 0] * inverse[0, c] + phi[r, 1] * inverse[1, c] + phi[r, 2] * inverse[2, c]
    for r in range(3):
        for k in range(3):
            phi[r, 3] -= new[r, k] * step[4 * k + 3]
        for c in range(3):
            phi[r, c] = new[r, c]
    return True


@compiled()
def project(a, basis, out):
    """out <- basis^T a basis."""
    n, m = basis.shape
    for i in range(m):
        for j in range(m):
            total = 0.0
            for k in range(n):
                if basis[k, i] != 0.0:
                    for c in range(n):
                        total += basis[k, i] * a[k, c] * basis[c, j]
            out[i, j] = total


@compiled()
def rotate_exactly(step):
    """Replace the skew dF of an increment (12,) by exp(dF) - I (Rodrigues), in place: I + dF is then a rotation."""
    z, y, x = step[6], step[8], step[1]
    square = z * z + y * y + x * x
    angle = math.sqrt(square)
    if angle > 1e-4:
        first, second = math.sin(angle) / angle, (1.0 - math.cos(angle)) / square
    else:
        first, second = 1.0 - square / 6.0, 0.5 - square / 24.0
    axis = (z, y, x)
    for r in range(3):
        for c in range(3):
            skew = step[4 * r + c]
            step[4 * r + c] = first * skew + second * (axis[r] * axis[c] - (square if r == c else 0.0))
