"""Notices: what changed becomes events, events become texts, texts wait in an outbox until they may be sent."""
