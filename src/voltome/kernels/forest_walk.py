"""Decision trees as flat arrays, walked for many voxels.

A node holds the feature that it looks at, a threshold, and its first child; the second child is the next node. A voxel
goes to the first child where its feature is at most the threshold, else to the second. A leaf is its own child, with a
threshold of infinity: who has arrived stays there.

Strategy: eight voxels side by side walk one tree until none of them moves, so that the waits for memory overlap; a tree
stays in the cache while all voxels of a tile walk it.
"""

from __future__ import annotations

import numpy as np

from voltome.kernels.compilation import compiled

SIDE_BY_SIDE = 8

_u8 = np.uint64


@compiled(inline="always")
def _step(features, feature, threshold, child, node, voxel):
    return _u8(child[node]) + _u8(features[_u8(feature[node]), voxel] > threshold[node])


@compiled(
    "void(float32[:,::1], int16[::1], float32[::1], int32[::1], float32[:,::1], int32[::1], float32[:,::1])",
    cache=True,
)
def walk_forest(features, feature, threshold, child, probability, roots, likely):
    """Add up what the leaves say that voxels arrive at.

    Parameters
    ----------
    features : float32 (F, N)
        N is a multiple of `SIDE_BY_SIDE`.
    feature : int16 (nodes,)
    threshold : float32 (nodes,)
    child : int32 (nodes,)
        Indices count through all trees.
    probability : float32 (nodes, C)
        Read at leaves.
    roots : int32 (trees,)
        First node of each tree.
    likely : float32 (C, N)
        Probabilities of the leaves are added.
    """
    one = _u8(1)
    for tree in range(len(roots)):
        root = _u8(roots[tree])
        for v0 in range(_u8(0), _u8(features.shape[1]), _u8(SIDE_BY_SIDE)):
            v1, v2, v3 = v0 + one, v0 + _u8(2), v0 + _u8(3)
            v4, v5, v6, v7 = v0 + _u8(4), v0 + _u8(5), v0 + _u8(6), v0 + _u8(7)
            a, b, c, d, e, f, g, h = root, root, root, root, root, root, root, root
            moving = True
            while moving:
                a1 = _step(features, feature, threshold, child, a, v0)
                b1 = _step(features, feature, threshold, child, b, v1)
                c1 = _step(features, feature, threshold, child, c, v2)
                d1 = _step(features, feature, threshold, child, d, v3)
                e1 = _step(features, feature, threshold, child, e, v4)
                f1 = _step(features, feature, threshold, child, f, v5)
                g1 = _step(features, feature, threshold, child, g, v6)
                h1 = _step(features, feature, threshold, child, h, v7)
                moving = ((a ^ a1) | (b ^ b1) | (c ^ c1) | (d ^ d1) | (e ^ e1) | (f ^ f1) | (g ^ g1) | (h ^ h1)) != 0
                a, b, c, d, e, f, g, h = a1, b1, c1, d1, e1, f1, g1, h1
            for k in range(probability.shape[1]):
                likely[k, v0] += probability[a, k]
                likely[k, v1] += probability[b, k]
                likely[k, v2] += probability[c, k]
                likely[k, v3] += probability[d, k]
                likely[k, v4] += probability[e, k]
                likely[k, v5] += probability[f, k]
                likely[k, v6] += probability[g, k]
                likely[k, v7] += probability[h, k]
