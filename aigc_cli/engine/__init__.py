"""Request in, events out: local llama.cpp behind one protocol."""
