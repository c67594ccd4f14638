"""Rekeying: when a conference gets a new group key, who is given it, and who must wait for it.

    policy       the conference: who is in it, one group or unique keys       (inputs, intentions, due)
    admission    joins: an own key first, then a ratchet step or the next epoch
    departures   leaves: bridge the cohort, taint what the leaver holds, decide how soon
    rekeying     the way of a new key: obtain, deliver, activate, retire
    delivering   messages to members: repeats, acknowledgements, laggards
    bridging     who is on an own key, what that may cost, how long a leaver can still listen
    cohort       the life of one cohort, as a table

All of it is sans-IO: time is an argument, `intentions` are values, and no key is ever seen here, only
the numbers of epochs. `ratchet` is apart: it is the one function that derives one key from another.
"""
