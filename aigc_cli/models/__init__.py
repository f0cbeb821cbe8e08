"""Which GGUF to run: known models, pulling and verifying them, what is on disk."""
