"""The tracking server: a projection of what the ledger's outbox says; nothing is read back."""
