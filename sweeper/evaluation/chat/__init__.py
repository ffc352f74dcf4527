"""A trained adapter answers what a user types, in the prompt form that it was trained with."""

from __future__ import annotations

from sweeper.evaluation.chat.forms import ChatForm, Form, PromptForm, form_of
from sweeper.evaluation.chat.speaking import Chat, ChatRequest, Prompt, open_chat

__all__ = [
    "Chat",
    "ChatForm",
    "ChatRequest",
    "Form",
    "Prompt",
    "PromptForm",
    "form_of",
    "open_chat",
]
