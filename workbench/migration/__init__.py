"""Everything that knows PostgreSQL. It can be deleted once the move is over, and the rest still runs."""
