"""Anderson acceleration of a window's Gauss-Newton steps (Walker and Ni 2011, 10.1137/10078356X).

Where grey values differ by more than motion (noise, a contrast that has changed) the Hessian says little of some
directions, and each step goes a small part of the way in them: five in a hundred at worst. From the last few steps
one sees where they lead.
"""

from __future__ import annotations

from voltome.kernels.compilation import compiled
from voltome.kernels.small_matrices import factorise, solve_factorised

DEPTH = 5
"""Earlier steps that are looked at."""

MEMORY_SHAPE = (2 * DEPTH + 1, 12)
WORK_SHAPE = (2 * DEPTH + 3, 12)

_NEAR_VOX = 0.5
_FARTHEST_VOX = 1.0
_GROWTH = 2.0


@compiled()
def forget(memory):
    """Begin anew: the steps to come follow another rule than those before.

    Parameters
    ----------
    memory : float64 `MEMORY_SHAPE`
        Of a node.

    Returns
    -------
    None
        The memory holds no step.
    """
    memory[0, 0], memory[0, 1] = 0.0, 0.0


@compiled()
def accelerate(before, after, lever, memory, work):
    """Move `after`, where a step from `before` led, to where the last steps together lead; in place.

    Parameters
    ----------
    before, after : float64 (3, 4)
        Phi.
    lever : float64
        Root mean square arm of a gradient, in voxels.
    memory : float64 `MEMORY_SHAPE`
        Of this node; `forget` prepares it.
    work : float64 `WORK_SHAPE`

    Returns
    -------
    None
        `after` and `memory` are brought up to date.
    """
    count, previous = int(memory[0, 0]), memory[0, 1]
    here, step, change = work[0], work[1], work[2]
    norm = 0.0
    for k in range(12):
        weight = 1.0 if k % 4 == 3 else lever
        here[k] = weight * before[k // 4, k % 4]
        step[k] = weight * after[k // 4, k % 4] - here[k]
        norm += step[k] * step[k]
    norm = norm**0.5
    if norm > _NEAR_VOX or norm > _GROWTH * previous:
        count = 0
    memory[0, 1] = norm
    used = min(count, DEPTH)
    if used > 0 and _combine(here, step, change, used, memory, work):
        length = 0.0
        for k in range(12):
            length += change[k] * change[k]
        shorten = min(1.0, _FARTHEST_VOX / max(length**0.5, 1e-12))
        for k in range(12):
            weight = 1.0 if k % 4 == 3 else lever
            after[k // 4, k % 4] = (here[k] + shorten * change[k]) / weight
    slot = 1 + count % DEPTH
    for k in range(12):
        memory[slot, k], memory[slot + DEPTH, k] = here[k], step[k]
    memory[0, 0] = count + 1.0 if norm <= _NEAR_VOX else 0.0


@compiled()
def _combine(here, step, change, used, memory, work):
    """change = step - sum_i c_i (X_i + S_i), X_i and S_i from earlier point and step to these, |step - sum c S| least.

    False where the steps do not tell.
    """
    normal, factor = work[3 : 3 + used, :used], work[3 + DEPTH : 3 + DEPTH + used, :used]
    right, coefficients = work[3 : 3 + used, DEPTH], work[3 : 3 + used, DEPTH + 1]
    for i in range(used):
        total = 0.0
        for k in range(12):
            total += (step[k] - memory[1 + DEPTH + i, k]) * step[k]
        right[i] = total
        for j in range(i + 1):
            total = 0.0
            for k in range(12):
                total += (step[k] - memory[1 + DEPTH + i, k]) * (step[k] - memory[1 + DEPTH + j, k])
            normal[i, j] = total
            normal[j, i] = total
    for i in range(used):
        normal[i, i] *= 1.0 + 1e-8
    if not factorise(normal, factor):
        return False
    solve_factorised(factor, right, coefficients)
    for k in range(12):
        change[k] = step[k]
    for i in range(used):
        for k in range(12):
            moved = here[k] - memory[1 + i, k] + step[k] - memory[1 + DEPTH + i, k]
            change[k] -= coefficients[i] * moved
    return True
