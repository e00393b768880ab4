"""Models of transactions, of spend and of how long contracts last; `ALL` is what the contract test walks over."""

from clvmodels.models.spend.gamma_gamma import GammaGamma
from clvmodels.models.survival.bdw import BdW
from clvmodels.models.survival.discrete_weibull import DiscreteWeibull
from clvmodels.models.survival.exponential import Exponential
from clvmodels.models.survival.geometric import ShiftedGeometric
from clvmodels.models.survival.loglogistic import LogLogistic
from clvmodels.models.survival.lognormal import LogNormal
from clvmodels.models.survival.sbg import SBG
from clvmodels.models.survival.weibull import Weibull
from clvmodels.models.transactions.bgnbd import BGNBD
from clvmodels.models.transactions.mbgnbd import MBGNBD
from clvmodels.models.transactions.pareto_nbd import ParetoNBD

ALL = (
    BGNBD,
    MBGNBD,
    ParetoNBD,
    GammaGamma,
    ShiftedGeometric,
    SBG,
    DiscreteWeibull,
    BdW,
    Exponential,
    Weibull,
    LogNormal,
    LogLogistic,
)
