"""clvmodels: what each customer will be worth, with honest uncertainty.

The public names are one flat list, loaded when first used, so that `import clvmodels` pays for none of the heavy
libraries behind them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clvmodels.data import datasets as datasets
    from clvmodels.data.audit import Audit as Audit
    from clvmodels.data.durations import Durations as Durations
    from clvmodels.data.subscriptions import ContractSplit as ContractSplit
    from clvmodels.data.subscriptions import Subscriptions as Subscriptions
    from clvmodels.data.summary import Summary as Summary
    from clvmodels.data.transactions import Split as Split
    from clvmodels.data.transactions import Transactions as Transactions
    from clvmodels.errors import AssumptionWarning as AssumptionWarning
    from clvmodels.errors import ConvergenceWarning as ConvergenceWarning
    from clvmodels.errors import DataError as DataError
    from clvmodels.errors import DataWarning as DataWarning
    from clvmodels.errors import FitError as FitError
    from clvmodels.errors import StaleDataError as StaleDataError
    from clvmodels.evaluation.backtest import backtest as backtest
    from clvmodels.evaluation.comparators import OwnRate as OwnRate
    from clvmodels.evaluation.comparators import PredictZero as PredictZero
    from clvmodels.evaluation.comparators import RepeatLastPeriod as RepeatLastPeriod
    from clvmodels.evaluation.loo import LooComparison as LooComparison
    from clvmodels.evaluation.loo import compare_loo as compare_loo
    from clvmodels.evaluation.monitoring import Check as Check
    from clvmodels.evaluation.monitoring import check as check
    from clvmodels.evaluation.peer_lifetimes import LifetimesCLV as LifetimesCLV
    from clvmodels.evaluation.regression import RegressionCLV as RegressionCLV
    from clvmodels.evaluation.result import Backtest as Backtest
    from clvmodels.models.spend.gamma_gamma import GammaGamma as GammaGamma
    from clvmodels.models.survival.bdw import BdW as BdW
    from clvmodels.models.survival.cox import Cox as Cox
    from clvmodels.models.survival.discrete_weibull import DiscreteWeibull as DiscreteWeibull
    from clvmodels.models.survival.exponential import Exponential as Exponential
    from clvmodels.models.survival.geometric import ShiftedGeometric as ShiftedGeometric
    from clvmodels.models.survival.kaplan_meier import KaplanMeier as KaplanMeier
    from clvmodels.models.survival.loglogistic import LogLogistic as LogLogistic
    from clvmodels.models.survival.lognormal import LogNormal as LogNormal
    from clvmodels.models.survival.sbg import SBG as SBG
    from clvmodels.models.survival.weibull import Weibull as Weibull
    from clvmodels.models.transactions.bgnbd import BGNBD as BGNBD
    from clvmodels.models.transactions.mbgnbd import MBGNBD as MBGNBD
    from clvmodels.models.transactions.pareto_nbd import ParetoNBD as ParetoNBD
    from clvmodels.persistence import load as load
    from clvmodels.persistence import save as save
    from clvmodels.priors import Prior as Prior
    from clvmodels.value.contractual import ContractualCLV as ContractualCLV
    from clvmodels.value.noncontractual import NonContractualCLV as NonContractualCLV
    from clvmodels.value.simple import SimpleCLV as SimpleCLV

__version__ = "0.1.0"

# Not lazily: once loaded, the module of the same name would hide the function.
from clvmodels.export import export as export

_HOME = {
    "Audit": "clvmodels.data.audit",
    "ContractSplit": "clvmodels.data.subscriptions",
    "Subscriptions": "clvmodels.data.subscriptions",
    "Split": "clvmodels.data.transactions",
    "Transactions": "clvmodels.data.transactions",
    "Durations": "clvmodels.data.durations",
    "Summary": "clvmodels.data.summary",
    "BGNBD": "clvmodels.models.transactions.bgnbd",
    "MBGNBD": "clvmodels.models.transactions.mbgnbd",
    "ParetoNBD": "clvmodels.models.transactions.pareto_nbd",
    "GammaGamma": "clvmodels.models.spend.gamma_gamma",
    "BdW": "clvmodels.models.survival.bdw",
    "Cox": "clvmodels.models.survival.cox",
    "DiscreteWeibull": "clvmodels.models.survival.discrete_weibull",
    "ShiftedGeometric": "clvmodels.models.survival.geometric",
    "KaplanMeier": "clvmodels.models.survival.kaplan_meier",
    "Exponential": "clvmodels.models.survival.exponential",
    "LogLogistic": "clvmodels.models.survival.loglogistic",
    "LogNormal": "clvmodels.models.survival.lognormal",
    "Weibull": "clvmodels.models.survival.weibull",
    "SBG": "clvmodels.models.survival.sbg",
    "ContractualCLV": "clvmodels.value.contractual",
    "NonContractualCLV": "clvmodels.value.noncontractual",
    "SimpleCLV": "clvmodels.value.simple",
    "LooComparison": "clvmodels.evaluation.loo",
    "compare_loo": "clvmodels.evaluation.loo",
    "Prior": "clvmodels.priors",
    "Check": "clvmodels.evaluation.monitoring",
    "check": "clvmodels.evaluation.monitoring",
    "PredictZero": "clvmodels.evaluation.comparators",
    "RepeatLastPeriod": "clvmodels.evaluation.comparators",
    "OwnRate": "clvmodels.evaluation.comparators",
    "RegressionCLV": "clvmodels.evaluation.regression",
    "LifetimesCLV": "clvmodels.evaluation.peer_lifetimes",
    "AssumptionWarning": "clvmodels.errors",
    "ConvergenceWarning": "clvmodels.errors",
    "DataError": "clvmodels.errors",
    "DataWarning": "clvmodels.errors",
    "FitError": "clvmodels.errors",
    "StaleDataError": "clvmodels.errors",
    "Backtest": "clvmodels.evaluation.result",
    "backtest": "clvmodels.evaluation.backtest",
    "load": "clvmodels.persistence",
    "save": "clvmodels.persistence",
}

__all__ = sorted([*_HOME, "datasets", "export"])


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return importlib.import_module("clvmodels.data.datasets")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'clvmodels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
