"""Real phones, driven: baresip and linphone, for the tests and for the call demo."""
