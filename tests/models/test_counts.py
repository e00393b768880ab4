"""Distributions of the number of purchases against mpmath, simulation, identities, other software and simpler models."""

import itertools

import mpmath
import numpy as np
from scipy import optimize


def exact_bgnbd(n, t, x, T, r, alpha, a, b):
    """Equation 8 as the paper has it, whose difference cancels, with digits to spare; and P(alive) after t."""
    r, alpha, a, b, t = (mpmath.mpf(float(value)) for value in (r, alpha, a, b, t))
    r, alpha, b = r + x, alpha + T, b + x
    rest, share = alpha / (alpha + t), t / (alpha + t)
    survived = mpmath.rf(b, n) / mpmath.rf(a + b, n)
    due, before = rest**r, mpmath.mpf(0)
    for j in range(n):
        before += due
        due *= (r + j) / (j + 1) * share
    died = a / (b + n - 1) * survived * (1 - before) if n else 0
    return survived * due + died


def exact_survival(t, x, T, r, alpha, a, b):
    r, alpha, a, b, t = (mpmath.mpf(float(value)) for value in (r, alpha, a, b, t))
    return mpmath.hyp2f1(r + x, a, a + b + x, -t / (alpha + T))


def exact_pareto(n, t, x, T, r, alpha, s, beta):
    """P(n or more) - P(n + 1 or more), each the integral of the time of that purchase, alive: not our formula."""
    r, alpha, s, beta, t = (mpmath.mpf(float(value)) for value in (r + x, alpha + T, s, beta + T, t))

    def at_least(n):
        if n == 0:
            return mpmath.mpf(1)

        def log_density(v):
            u = mpmath.exp(v)
            return n * v - (r + n) * mpmath.log(alpha + u) - s * mpmath.log(beta + u)

        def slope(v):
            u = np.exp(v)
            return float(n - (r + n) * u / (alpha + u) - s * u / (beta + u))

        top = float(mpmath.log(t))
        peak = top if slope(top) > 0 else optimize.brentq(slope, -800.0, top)
        high = log_density(mpmath.mpf(peak))

        def fallen(v):
            return float(log_density(mpmath.mpf(v)) - high) + 60

        low = optimize.brentq(fallen, peak - 70 - 70 / n, peak)
        end = top if fallen(top) > 0 else optimize.brentq(fallen, peak, top)
        points = [mpmath.mpf(v) for v in (*np.linspace(low, peak, 5), *np.linspace(peak, end, 5)[1:])]
        if peak == end:
            points = points[:5]
        integral = mpmath.quad(lambda v: mpmath.exp(log_density(v) - high), points)
        ways = mpmath.rf(r, n) / mpmath.factorial(n - 1)
        return ways * alpha**r * beta**s * mpmath.exp(high) * integral

    return at_least(n) - at_least(n + 1)


def hostile_counts(scales, shapes, seed):
    """alpha and other scales far apart, tiny and large shapes, up to 5000 purchases, T = 0, counts up to hundreds."""
    rng = np.random.default_rng(seed)
    for scale, shape, x in itertools.product(scales, shapes, (0, 2, 300, 5000)):
        T = rng.choice([39.0, 0.0]) if x == 0 else 39.0
        t = np.exp(rng.uniform(*np.log([1e-2, 1e3])))
        r = rng.choice([0.03, 0.55, 20])
        mean = (r + x) * t / (scale[0] + T)
        for n in {0, 1, 7, int(rng.choice([40, 300])), min(int(mean), 800)}:
            yield n, t, x, T, r, scale, shape
