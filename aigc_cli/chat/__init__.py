"""Conversations: messages, what fits in the context window."""
