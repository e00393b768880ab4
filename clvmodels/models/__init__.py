"""Models of transactions and of spend; `ALL` is what the contract test walks over."""

from clvmodels.models.spend.gamma_gamma import GammaGamma
from clvmodels.models.transactions.bgnbd import BGNBD

ALL = (BGNBD, GammaGamma)
