"""transaction_scores: the risk of each transaction of an investigation; by far the largest collection."""

from __future__ import annotations

from workbench.models.document import Document
from workbench.models.fields import Instant, Key, Score
from workbench.models.spec import Collection, Index, ascending


class TransactionScore(Document):
    """The risk score of one transaction in one investigation."""

    investigation_id: Key
    transaction_id: Key
    tenant_id: Key
    risk_score: Score
    created_at: Instant


COLLECTION = TransactionScore.COLLECTION = Collection(
    name="transaction_scores",
    source_table="transaction_scores",
    document=TransactionScore,
    natural_key=("investigation_id", "transaction_id"),
    sort_path="created_at",
    indexes=(
        Index(
            ascending("tenant_id", "investigation_id", "transaction_id"),
            "scores of an investigation: page, distribution, average",
            unique=True,
        ),
        Index(
            (("tenant_id", 1), ("investigation_id", 1), ("risk_score", -1), ("_id", -1)),
            "the riskiest transactions of an investigation",
        ),
        Index((("tenant_id", 1), ("risk_score", -1), ("_id", -1)), "the riskiest transactions of a tenant"),
    ),
    shard_key=(("tenant_id", 1), ("investigation_id", 1), ("transaction_id", 1)),
)
