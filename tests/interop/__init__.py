"""Foreign clients against the real daemon: SRTP code that is not ours judges every packet we send."""
