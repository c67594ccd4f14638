"""bench: load, measurement and demonstration of the mixer, from the other end of the wire.

Everything here is a peer of the mixer: it speaks SRTP with code of its own (only libsrtp itself is
shared) and drives the daemon through `control.client`, so that it can be believed when it says that
the mixer is right.
"""
