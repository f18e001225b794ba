"""Every kind of step there is, by name."""

from jobs.adapter_study import KIND as ADAPTER_STUDY
from jobs.base import KIND as BASE
from jobs.dataset import KIND as DATASET
from jobs.evaluation import KIND as EVALUATION
from jobs.export import KIND as EXPORT
from jobs.forgetting import KIND as FORGETTING
from jobs.gate import KIND as GATE
from jobs.imported import KIND as IMPORT
from jobs.mixture import KIND as MIXTURE
from jobs.model import KIND as MODEL
from jobs.natural import KIND as NATURAL
from jobs.pairs import KIND as PAIRS
from jobs.patching import KIND as PATCHING
from jobs.report import KIND as REPORT
from jobs.sae import KIND as SAE
from jobs.sweep import KIND as SWEEP
from jobs.verification import KIND as VERIFICATION

KINDS = {
    kind.name: kind
    for kind in (
        DATASET, NATURAL, IMPORT, MIXTURE, VERIFICATION, EXPORT, BASE, SWEEP, MODEL, EVALUATION,
        FORGETTING, GATE, PAIRS, PATCHING, SAE, ADAPTER_STUDY, REPORT,
    )
}  # fmt: skip
