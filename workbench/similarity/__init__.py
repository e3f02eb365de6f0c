"""Which anomalies are alike: embeddings, search by vector, re-embedding, and how relevant the answers are."""
