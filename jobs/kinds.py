"""Every kind of step there is, by name."""

from jobs.base import KIND as BASE
from jobs.dataset import KIND as DATASET
from jobs.evaluation import KIND as EVALUATION
from jobs.model import KIND as MODEL
from jobs.pairs import KIND as PAIRS
from jobs.patching import KIND as PATCHING
from jobs.report import KIND as REPORT
from jobs.sae import KIND as SAE

KINDS = {
    kind.name: kind
    for kind in (DATASET, BASE, MODEL, EVALUATION, PAIRS, PATCHING, SAE, REPORT)
}
