//! Transcripts of other tools, read into sessions and messages.
