"""The engine behind HTTP: OpenAI's routes with llama-server's extensions, for one model."""
