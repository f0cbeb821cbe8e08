"""Conversations that a test keeps, and how it finds them again."""

from aigc_cli.chat.recording import Recording
from aigc_cli.chat.session import Conversation
from aigc_cli.chat.store import SessionStore


def talked(store: SessionStore, *exchanges: tuple[str, str]) -> Recording:
    """A session in which this was said."""
    conversation = Conversation("")
    recording = Recording(store, conversation)
    for question, reply in exchanges:
        conversation.ask(question)
        recording.save("scripted")
        conversation.record_reply(reply)
        recording.save("scripted")
    return recording


def id_of(recording: Recording) -> str:
    assert recording.session_id is not None
    return recording.session_id


def reread(store: SessionStore, recording: Recording) -> Conversation:
    return store.load(id_of(recording)).conversation
